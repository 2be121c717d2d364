"""A log file that users of this machine cannot replace.

It is opened with root's rights and written by processes that have given them up, so its
path must lead where root wants: root or mail_owner owns every directory on the path,
and other users cannot write to it; the file is a regular file with the same owners and
one hard link. Symbolic links to directories are followed once, and their target is
checked; the file itself must not be a symbolic link.

Raises: UnsafeFileError, whose reason says what is wrong.
Security: files are opened first and checked then. Each directory is opened relative to
its parent.
"""

from __future__ import annotations

import errno
import os
import resource
import stat

from postvirt.model.mailbox import Owner
from postvirt.model.text import wire
from postvirt.system.unsafe_file import UnsafeFileError

_MODE = 0o640

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_log_file(path: str, mail_owner: Owner) -> int:
    """A descriptor to append to the file, which is created if it is missing.

    mail_owner may own the file, and its group may read a new file.
    """
    trusted = {0, os.geteuid(), mail_owner.uid}
    place, name = os.path.split(os.path.abspath(wire(path)))
    directory = _open_directory(os.path.realpath(place), trusted)
    try:
        fd = _open_or_create(name, directory, mail_owner.gid)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnsafeFileError(errno.ELOOP, "it is a symbolic link") from None
        raise _refusal(error) from None
    finally:
        os.close(directory)
    try:
        _examine(os.fstat(fd), trusted)
    except UnsafeFileError:
        os.close(fd)
        raise
    return fd


def append(fd: int, data: bytes) -> int:
    """Write with one write(2); the number of bytes that were written.

    The limit on the size of mailbox files does not apply to log files.
    Raises: OSError.
    """
    now, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    if now == most:
        return os.write(fd, data)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    try:
        return os.write(fd, data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (now, most))


def _open_directory(path: bytes, trusted: set[int]) -> int:
    """The directory, if no untrusted user can replace it."""
    at = b"/"
    fd = os.open(at, _DIRECTORY_FLAGS)
    for name in [part for part in path.split(b"/") if part]:
        at = os.path.join(at, name)
        try:
            inner = os.open(name, _DIRECTORY_FLAGS, dir_fd=fd)
        except OSError as error:
            raise _refusal(error, at) from None
        finally:
            os.close(fd)
        fd = inner
        status = os.fstat(fd)
        is_for_all = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
        if status.st_uid not in trusted or is_for_all:
            os.close(fd)
            shown = at.decode("utf-8", "surrogateescape")
            reason = f"untrusted users can change directory {shown}"
            raise UnsafeFileError(errno.EPERM, reason)
    return fd


def _open_or_create(name: bytes, directory: int, gid: int) -> int:
    try:
        return os.open(name, _FLAGS, dir_fd=directory)
    except FileNotFoundError:
        pass
    try:
        fd = os.open(name, _FLAGS | os.O_CREAT | os.O_EXCL, _MODE, dir_fd=directory)
    except FileExistsError:  # another process has created it
        return os.open(name, _FLAGS, dir_fd=directory)
    if os.geteuid() == 0:
        os.fchown(fd, -1, gid)
    os.fchmod(fd, _MODE)
    return fd


def _examine(status: os.stat_result, trusted: set[int]) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnsafeFileError(errno.EPERM, "it is not a regular file")
    if status.st_nlink != 1:
        raise UnsafeFileError(errno.EPERM, f"it has {status.st_nlink} hard links")
    if status.st_uid not in trusted:
        reason = f"uid {status.st_uid} owns it"
        raise UnsafeFileError(errno.EPERM, reason)


def _refusal(error: OSError, place: bytes = b"") -> UnsafeFileError:
    where = f"{place.decode('utf-8', 'surrogateescape')}: " if place else ""
    number = error.errno or errno.EIO
    return UnsafeFileError(number, f"{where}{os.strerror(number)}")
