"""What would happen to a message, without delivering one.

Each step of maildir.py and mbox.py is rehearsed, in their order and with their names,
so that a failure has the same code and the same words. Nothing is created, written or
locked; an mbox file is opened as for a delivery, and closed again.

A lock that another process holds counts as held until the last attempt. What only a
real write can show (a failing disk, a quota that the kernel does not know) stays
unknown.

Raises: nothing; what would fail is an Outcome.
Security: every question is asked as the owner.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import NamedTuple

from postvirt.mailbox import maildir, mbox_file, mbox_refusals
from postvirt.mailbox.errno_dsn import PLACE, WRITE, WRITING, DeliveryFailedError, step
from postvirt.mailbox.locking import Locking
from postvirt.mailbox.maildir_file import MaildirFile
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Outcome
from postvirt.system import locks, safe_open
from postvirt.system.dry_run import (
    check_access,
    check_create,
    check_make_directories,
    check_move,
    check_unlink,
    check_write,
    nearest,
    parent_of,
)
from postvirt.system.lock_holders import fcntl_holder, flock_holder
from postvirt.system.privileges import acting_as

# Opening these fails with ENXIO when no process has opened the other end.
_NOBODY_THERE = (stat.S_IFIFO, stat.S_IFSOCK)


class Room(NamedTuple):
    """The size of a message, and of the largest file that is allowed (0: any size)."""

    size_bytes: int
    limit_bytes: int


def rehearse_maildir(mailbox: Mailbox, room: Room, hostname: bytes) -> Outcome:
    """As `maildir.deliver_to_maildir`; the inode in a file's name is not known yet."""
    owner = mailbox.owner
    file = MaildirFile(mailbox, hostname)
    made: set[bytes] = set()
    try:
        with step(PLACE, maildir.CREATING, file.tmp), acting_as(owner):
            tmp = _file_in(mailbox.path, b"tmp", file.tmp, made)
            with step(WRITE, WRITING):
                check_write(tmp, 0, room.size_bytes, room.limit_bytes)
            device = os.stat(tmp).st_dev
        new = file.name_in_new(device, 0)
        with step(PLACE, maildir.CREATING, new), acting_as(owner):
            check_move(tmp, _file_in(mailbox.path, b"new", new, made))
    except DeliveryFailedError as failed:
        return maildir.outcome_of(failed, mailbox)
    return maildir.DELIVERED


def _file_in(path: bytes, directory: bytes, name: bytes, made: set[bytes]) -> bytes:
    """Create a name in a directory of the maildir: the nearest place that exists.

    made contains what earlier steps would have created; this one adds to it.
    Raises: OSError.
    """
    is_another_name = directory == b"new"
    try:
        check_create(name, made, is_another_name=is_another_name)
    except FileNotFoundError:
        if is_another_name:
            try:
                check_make_directories(path + b"cur", made)
            except OSError:
                pass  # as in a delivery
        check_make_directories(path + directory, made)
        check_create(name, made, is_another_name=is_another_name)
    made.add(name)
    return nearest(path + directory, made)


def rehearse_mbox(
    mailbox: Mailbox,
    room: Room,
    recipient: bytes,
    locking: Locking,
    *,
    strict_ownership: bool,
) -> Outcome:
    """As `mbox.deliver_to_mbox`."""
    fd = -1
    made: set[bytes] = set()
    try:
        if "dotlock" in locking.styles:
            _dot_lock(mailbox, locking, made)
        fd, status = _open(mailbox, made)
        place, begin = mailbox.path, 0
        if status is None:
            place = parent_of(mailbox.path)
        else:
            if stat.S_ISREG(status.st_mode):
                _kernel_locks(fd, locking)
                begin = status.st_size
            mbox_refusals.check(
                status, mailbox, recipient, strict_ownership=strict_ownership
            )
        with step(WRITE, WRITING), acting_as(mailbox.owner):
            check_write(place, begin, room.size_bytes, room.limit_bytes)
    except DeliveryFailedError as failed:
        return mbox_refusals.outcome_of(failed, mailbox)
    finally:
        if fd >= 0:
            os.close(fd)
    return mbox_file.DELIVERED


def check_mbox_file(mailbox: Mailbox, *, strict_ownership: bool) -> None:
    """Whether a delivery accepts an mbox file that exists; called as the owner.

    Raises: DeliveryFailedError when it does not.
    """
    try:
        fd, status = _open_existing(mailbox.path)
    except OSError as error:
        raise mbox_refusals.not_opened(error) from None
    os.close(fd)
    mbox_refusals.check(status, mailbox, b"", strict_ownership=strict_ownership)


def _dot_lock(mailbox: Mailbox, locking: Locking, made: set[bytes]) -> None:
    path = mailbox.path
    lock = locks.dot_lock_path(path)
    try:
        with acting_as(mailbox.owner):
            if not locks.is_missing_or_regular(path):
                return
            if locking.attempts > 1 and is_dot_lock_stale(path, locking):
                check_unlink(lock)
                check_access(parent_of(path), os.W_OK | os.X_OK)
            else:
                check_create(lock)
            made.add(lock)
    except OSError as error:
        raise mbox_refusals.not_dot_locked(error, path) from None


def is_dot_lock_stale(path: bytes, locking: Locking) -> bool:
    """Whether a dot lock is stale, or becomes stale in the course of the attempts.

    It is removed after any attempt but the last.
    """
    patience = int(locking.delay_seconds * max(0, locking.attempts - 2))
    return locks.is_stale_dot_lock(path, locking.stale_seconds - patience)


def _open(mailbox: Mailbox, made: set[bytes]) -> tuple[int, os.stat_result | None]:
    """Open an mbox file: descriptor and status; None when it would be created."""
    path = mailbox.path
    try:
        with acting_as(mailbox.owner):
            try:
                return _open_existing(path)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise
            _create(path, made)
            return -1, None
    except OSError as error:
        raise mbox_refusals.not_opened(error) from None


def _open_existing(path: bytes) -> tuple[int, os.stat_result]:
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except OSError as error:
        raise safe_open.refusal(error, safe_open.CANNOT_OPEN) from None
    if kind in (stat.S_IFREG, stat.S_IFDIR):
        return safe_open.open_existing(path, os.O_WRONLY | os.O_APPEND)
    return _look_at_special(path, kind)


def _create(path: bytes, made: set[bytes]) -> None:
    try:
        check_create(path, made)
    except FileExistsError:
        # A symbolic link that leads nowhere: it cannot be opened either.
        missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        raise safe_open.refusal(missing, safe_open.CANNOT_OPEN) from None
    except OSError as error:
        raise safe_open.refusal(error, safe_open.CANNOT_CREATE) from None


def _look_at_special(path: bytes, kind: int) -> tuple[int, os.stat_result]:
    """A device, a pipe or a socket: opening one may have effects."""
    status = os.stat(path)
    try:
        check_access(path, os.W_OK)
        if kind in _NOBODY_THERE or not _has_driver(status):
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
    except OSError as error:
        raise safe_open.refusal(error, safe_open.CANNOT_OPEN) from None
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return fd, safe_open.examined(fd, path)
    except BaseException:
        os.close(fd)
        raise


def _has_driver(status: os.stat_result) -> bool:
    """Whether the kernel knows the device."""
    kind = "block" if stat.S_ISBLK(status.st_mode) else "char"
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return not os.path.exists("/sys/dev") or os.path.exists(f"/sys/dev/{kind}/{number}")


def _kernel_locks(fd: int, locking: Locking) -> None:
    for style, find_holder in (("flock", flock_holder), ("fcntl", fcntl_holder)):
        if style in locking.styles and find_holder(fd):
            taken = BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            raise mbox_refusals.not_locked(taken)
