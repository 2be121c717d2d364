"""Deliver one message to a maildir.

The message is written to tmp/ as its owner, so that quotas count, and linked into new/
under a name that cannot repeat on this host: device, inode and time. Missing
directories are created. The recipient is reported as delivered only when the file and
its name in new/ are on disk. Where mailboxes have limits, there must be room for it
(mailbox.quota.room).

Parity: src/virtual/maildir.c.
Differs: Durable names. A recipient of a maildir is reported as delivered when the file
    and its name in new/ are on disk; virtual(8) does not wait for the name, so a power
    cut may lose mail that it has reported as delivered.
Raises: QueueFileError when the content is damaged, OverQuotaError when there is no
room; nothing is left in the maildir then. Every other failure is an Outcome.
Security: every step on the recipient's side is made with the owner's rights.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from collections.abc import Callable
from typing import Final

from postvirt.mailbox.errno_dsn import (
    PLACE,
    WRITE,
    WRITING,
    DeliveryFailedError,
    step,
)
from postvirt.mailbox.inside import Act, inside, together_inside
from postvirt.mailbox.message import (
    Content,
    Envelope,
    envelope_headers,
    hand_over,
    write_message,
)
from postvirt.mailbox.quota.room import Room
from postvirt.mailbox.quota.sizes import Sizes
from postvirt.model.effects import (
    AtOnce,
    Directory,
    Durable,
    Steps,
    WriteOut,
    Written,
)
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Delivered, Dsn, Result
from postvirt.model.quota import QuotaRules
from postvirt.model.text import text
from postvirt.system import log
from postvirt.system.descriptors import close
from postvirt.system.directories import make_directories, open_directory
from postvirt.system.rename_noreplace import rename_to_new_name

WOULD_DELIVER = Delivered(Dsn("2.0.0", "delivers to maildir"))
DELIVERED = Delivered(Dsn("2.0.0", "delivered to maildir"))

# What has failed when a name in tmp/ or new/ cannot be created.
CREATING = "create maildir file"

_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC

# Distinguishes this process's deliveries within one second.
_deliveries = itertools.count(1)


def deliver_to_maildir(
    mailbox: Mailbox,
    envelope: Envelope,
    content: Content,
    hostname: bytes,
    rules: QuotaRules | None = None,
) -> Steps[Result]:
    """Deliver; hostname is the last part of the file's name.

    rules are those of quotas, None if they are off.
    Raises: OverQuotaError when there is no room.
    """
    file = MaildirFile(mailbox, hostname, content.queue_file_bytes)
    if rules is not None:
        file.room = Room(mailbox, mailbox.path, rules, hostname, file.make_tmp)
    try:
        write = _writing(file, envelope, content, rules)
        with step(PLACE, CREATING, file.tmp):
            yield from _in_room(
                file, lambda: together_inside(mailbox, write, _delivering(file, write))
            )
        if not file.is_in_new:
            with step(WRITE, WRITING):
                has_its_names: bool = yield file.written()
            with step(PLACE, CREATING, file.new):
                publish = _publishing(file, has_its_names)
                yield from _in_room(file, lambda: together_inside(mailbox, publish))
        with step(WRITE, WRITING):
            yield file.durable()
    except DeliveryFailedError as failed:
        return outcome_of(failed, mailbox)
    else:
        file.is_kept = True
        if file.room is not None:
            return Delivered(DELIVERED.dsn, filling=file.room.filling)
        return DELIVERED
    finally:
        if file.fd >= 0 and not file.is_kept:
            _remove(file, mailbox)
        file.close()


def _in_room(file: MaildirFile, act: Callable[[], AtOnce]) -> Steps[None]:
    if file.room is None:
        yield act()
    else:
        yield from file.room.making_room(act)


def _writing(
    file: MaildirFile, envelope: Envelope, content: Content, rules: QuotaRules | None
) -> Act:
    def act() -> None:
        if file.fd >= 0:
            return  # it has been written, but there was no room yet
        headers = envelope_headers(envelope)
        if file.room is not None and rules is not None:
            sizes = Sizes.of(headers, content, rules)
            file.room.check(sizes.in_bytes)
            file.suffix = sizes.in_name(rules)
        file.create()
        with step(WRITE, WRITING):
            chunks = content.chunks(quote_from=False)
            write_message(file.fd, headers, chunks, b"")

    return act


def _delivering(file: MaildirFile, write: Act) -> Callable[[WriteOut], None]:
    """For a delivery that is alone: all but the commit with one change of identity."""

    def act(write_out: WriteOut) -> None:
        with inside(file.mailbox):
            write()
            with step(WRITE, WRITING):
                is_written = write_out(file.written())
            if is_written:
                with step(PLACE, CREATING, file.new):
                    file.publish(has_its_names=True)

    return act


def _publishing(file: MaildirFile, has_its_names: bool) -> Act:  # noqa: FBT001
    def act() -> None:
        if not has_its_names:
            with step(WRITE, WRITING):
                hand_over(file.fd)
        file.publish(has_its_names=has_its_names)

    return act


def _remove(file: MaildirFile, mailbox: Mailbox) -> None:
    try:
        with inside(mailbox):
            file.remove()
    except DeliveryFailedError as failed:  # a process hangs in the mailbox
        log.warning(f"remove {text(file.name)}: {failed.dsn.reason}")
    except OSError as error:  # the identity cannot be taken
        log.warning(f"remove {text(file.name)}: {log.errno_text(error)}")


def outcome_of(failed: DeliveryFailedError, mailbox: Mailbox) -> Result:
    """The outcome of a failed step; a hint is logged if there is one."""
    if failed.errno == errno.EACCES:
        owner = mailbox.owner
        log.warning(
            f"maildir access problem for UID/GID={owner.uid}/{owner.gid}: "
            f"{failed.dsn.reason}"
        )
        log.warning("perhaps you need to create the maildirs in advance")
    return failed.told_as("maildir delivery failed: ")


class MaildirFile:
    """One file on its way from tmp/ to new/; its methods run as the owner.

    suffix   ends its name in new/
    room     that it takes there, if mailboxes have limits
    """

    def __init__(
        self, mailbox: Mailbox, hostname: bytes, queue_file_bytes: int = 0
    ) -> None:
        now = time.time_ns()
        seconds = now // 1_000_000_000
        self._maildir = maildir = mailbox.path
        self.mailbox = mailbox
        self._queue_file_bytes = queue_file_bytes
        self._hostname = hostname
        self._seconds = seconds
        self._microseconds = now // 1000 % 1_000_000
        # No other process has this process ID while the file is in tmp/.
        name = (maildir, seconds, os.getpid(), next(_deliveries), hostname)
        self.tmp = b"%btmp/%d.P%dQ%d.%b" % name
        self.new = self.suffix = b""
        self.room: Room | None = None
        self.fd = self.device = -1
        self.is_kept = False
        self._has_its_names = True
        self._is_in_tmp = self.is_in_new = False
        self._made: list[bytes] = []
        self._directories: list[Directory] = []
        self._everything = False

    def create(self) -> None:
        """Create the file in tmp/ and missing directories, and choose its name in new/.

        Raises: OSError.
        """
        try:
            self._create()
        except FileNotFoundError:
            self._make(b"tmp")
            self._create()
        self._is_in_tmp = True
        status = os.fstat(self.fd)
        self.device = status.st_dev
        self.new = self.name_in_new(status.st_dev, status.st_ino)

    @property
    def name(self) -> bytes:
        """Where the file is."""
        return self.new if self.is_in_new else self.tmp

    def name_in_new(self, device: int, inode: int) -> bytes:
        """The path in new/ of a file with this device and inode."""
        return b"%bnew/%d.V%xI%xM%d.%b%b" % (
            self._maildir,
            self._seconds,
            device,
            inode,
            self._microseconds,
            self._hostname,
            self.suffix,
        )

    def publish(self, *, has_its_names: bool) -> None:
        """Move the file to new/.

        has_its_names is Written's answer: the directories in which names have changed
        are opened, unless they are committed with the file.
        Raises: OSError when the name in new/ cannot be created; as `Room.take`.
        """
        if self.room is not None:
            self.room.take()
        self._publish(has_its_names=has_its_names)
        if self.room is not None:
            self.room.settle()

    def _publish(self, *, has_its_names: bool) -> None:
        move = self._rename if has_its_names else self._link
        try:
            move()
        except FileNotFoundError:
            try:
                self._make(b"cur")
            except OSError:
                pass  # a delivery puts nothing there
            self._make(b"new")
            move()
        self._has_its_names = has_its_names
        if not has_its_names:
            self._open_directory(self._maildir + b"new")
            for path in reversed(self._made):  # from the leaf up
                self._open_directory(os.path.dirname(path) or b"/")

    def written(self) -> Written:
        """The writing out to wait for before the file may move to new/."""
        return Written(self.fd, self.device, self._queue_file_bytes, self.mailbox)

    def durable(self) -> Durable:
        """The commit to wait for before the message may be reported as delivered."""
        return Durable(
            self.fd,
            self.device,
            self._has_its_names,
            named_by=self.mailbox.owner.uid,
            directories=tuple(self._directories),
            everything=self._everything,
            mailbox=self.mailbox,
        )

    def remove(self) -> None:
        """Remove a file that must not be delivered, and give its room back."""
        if self.is_in_new:
            try:
                os.unlink(self.new)
            except OSError as error:
                log.warning(f"remove {text(self.new)}: {log.errno_text(error)}")
                return
        if self._is_in_tmp:
            self._remove_from_tmp()
        if self.room is not None:
            self.room.give_back()

    def close(self) -> None:
        """Close every descriptor."""
        for directory in self._directories:
            close(directory.fd)
        if self.fd >= 0:
            close(self.fd)
        if self.room is not None:
            self.room.close()

    def make_tmp(self) -> None:
        """Create the maildir, if it is missing, so far that tmp/ is there."""
        if not os.path.isdir(self._maildir + b"tmp"):
            self._make(b"tmp")

    def _create(self) -> None:
        self.fd = os.open(self.tmp, _CREATE, _FILE_MODE)

    def _make(self, name: bytes) -> None:
        self._made += make_directories(self._maildir + name, _DIRECTORY_MODE)

    def _rename(self) -> None:
        """Move in one step, if the file system can."""
        if rename_to_new_name(self.tmp, self.new):
            self._is_in_tmp, self.is_in_new = False, True
        else:
            self._link()

    def _link(self) -> None:
        try:
            os.link(self.tmp, self.new)
        except OSError:
            # Over NFS a link may be created and the answer be lost: both names lead to
            # the same file then.
            if not _is_same_file(self.tmp, self.new):
                raise
            log.info(
                f"sane_link({text(self.tmp)},{text(self.new)}): "
                "worked around spurious NFS error"
            )
        self.is_in_new = True
        self._remove_from_tmp()

    def _remove_from_tmp(self) -> None:
        self._is_in_tmp = False
        try:
            os.unlink(self.tmp)
        except OSError as error:
            log.warning(f"remove {text(self.tmp)}: {log.errno_text(error)}")

    def _open_directory(self, path: bytes) -> None:
        directory = open_directory(path)
        if directory is None:
            self._everything = True
        else:
            self._directories.append(directory)


def _is_same_file(one: bytes, other: bytes) -> bool:
    try:
        a, b = os.stat(one), os.stat(other)
    except OSError:
        return False
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
