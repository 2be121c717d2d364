"""Open a file that a hostile user may have put in place.

The file is opened first and examined then: it must have exactly one name, must not be a
directory, and the name must still lead to the opened file. A symbolic link is accepted
only if root owns it and its directory, and no other user can write to that directory.
Opening never blocks, whatever the name leads to.

Parity: src/util/safe_open.c.
Differs: Rights of a new mbox file. A new mbox file always has mode 0600, as with the
    newest Postfix versions; with older ones, a default access control list can take the
    rights from its owner, and all further mail is deferred.
Raises: UnsafeFileError, with the errno that decides the delivery status.
Security: a hard link could lead to another user's file, and a symbolic link that a user
owns could lead anywhere; a link in a directory that only root can write was put there
on purpose.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from postvirt.system.descriptors import close
from postvirt.system.unsafe_file import UnsafeFileError

CANNOT_OPEN = "cannot open file"
CANNOT_CREATE = "cannot create file exclusively"


def open_or_create(
    path: bytes, flags: int, mode: int
) -> tuple[int, os.stat_result, bool]:
    """Open an existing file, or create it: descriptor, status, and whether it is new.

    Only ENOENT leads from opening to creating, and only EEXIST leads back.
    """
    try:
        return (*open_existing(path, flags), False)
    except UnsafeFileError as error:
        if error.errno != errno.ENOENT:
            raise
    try:
        return (*_create(path, flags, mode), True)
    except UnsafeFileError as error:
        if error.errno != errno.EEXIST:
            raise
    return (*open_existing(path, flags), False)


def _create(path: bytes, flags: int, mode: int) -> tuple[int, os.stat_result]:
    try:
        # O_EXCL does not follow a symbolic link.
        fd = os.open(
            path, flags | os.O_CREAT | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC, mode
        )
    except OSError as error:
        raise refusal(error, CANNOT_CREATE) from None
    try:
        status = os.fstat(fd)
        if stat.S_IMODE(status.st_mode) != mode:
            with suppress(OSError):
                os.fchmod(fd, mode)
            status = os.fstat(fd)
        return fd, status
    except BaseException:
        close(fd)
        raise


def open_existing(path: bytes, flags: int) -> tuple[int, os.stat_result]:
    """Open an existing file: descriptor and status."""
    try:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise refusal(error, CANNOT_OPEN) from None
    try:
        return fd, examined(fd, path)
    except BaseException:
        close(fd)
        raise


def examined(fd: int, path: bytes) -> os.stat_result:
    """The status of an open file, if mail may be written to it."""
    opened = os.fstat(fd)
    if opened.st_nlink != 1:
        raise UnsafeFileError(errno.EPERM, f"file has {opened.st_nlink} hard links")
    if stat.S_ISDIR(opened.st_mode):
        raise UnsafeFileError(errno.EISDIR, "file is a directory")
    try:
        named = os.lstat(path)
    except OSError as error:
        changed = refusal(error, "file status changed unexpectedly")
        raise UnsafeFileError(errno.EPERM, changed.reason) from None
    if stat.S_ISLNK(named.st_mode):
        if named.st_uid == 0 and _only_root_writes(os.path.dirname(path) or b"."):
            return opened
        raise UnsafeFileError(errno.EPERM, "file is a symbolic link")
    if (opened.st_dev, opened.st_ino, opened.st_nlink, opened.st_mode) != (
        named.st_dev,
        named.st_ino,
        named.st_nlink,
        named.st_mode,
    ):
        raise UnsafeFileError(errno.EPERM, "file status changed unexpectedly")
    return opened


def _only_root_writes(directory: bytes) -> bool:
    try:
        status = os.stat(directory)
    except OSError:
        return False
    return status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def refusal(error: OSError, what: str) -> UnsafeFileError:
    """The system's error, with what has failed."""
    number = error.errno or errno.EIO
    return UnsafeFileError(number, f"{what}: {os.strerror(number)}")
