"""How the kernel would answer an attempt, without making it.

The kernel is asked with faccessat2(2), which considers access control lists, read-only
file systems and immutable directories, too. On a full disk it is unknown which step
fails first: here it is the one that needs an inode or writes data.

Raises: OSError, with the errno that the attempt would have.
Security: called while acting as the owner. What is true now may be wrong a moment
later, so no delivery relies on it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Collection

from postvirt.system import disk_quota, file_identity
from postvirt.system.access_lists import rights_handed_down
from postvirt.system.directories import places_on_the_way

_AT_FDCWD = -100
_AT_EACCESS = 0x200
# The same number on every machine. The faccessat(3) of older C libraries answers for
# the effective user, whoever works on files.
_FACCESSAT2 = 439
_BLOCK_BYTES = 512  # of st_blocks
# Longer than any file system has it.
_NAME_OF_NO_FILE = b"/" + 3000 * b"x"
_NAMES_CAN_BE_CREATED = os.W_OK | os.X_OK

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.argtypes = (
    ctypes.c_long,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_int,
)


def check_access(path: bytes, mode: int) -> None:
    """Ask for os.R_OK, os.W_OK and os.X_OK, as whoever this thread works on files."""
    number = refusal_of_access(path, mode)
    if number:
        _refuse(number)


def refusal_of_access(path: bytes, mode: int) -> int:
    """As `check_access`, for many questions: the errno, 0 when it is allowed."""
    if _syscall(_FACCESSAT2, _AT_FDCWD, path, mode, _AT_EACCESS) == 0:
        return 0
    return ctypes.get_errno()


def check_create(
    path: bytes, made: Collection[bytes] = (), *, is_another_name: bool = False
) -> None:
    """Create a new file or directory, or another name for a file.

    made is what earlier steps would have created, without slashes at the end.
    """
    inodes = len(made) + (not is_another_name)
    directory = parent_of(path)
    if directory in made:  # it would be ours, and writable
        directory = nearest(directory, made)
        if not can_use_new_directory(directory):
            _refuse(errno.EACCES)
    else:
        try:
            os.lstat(path)
        except FileNotFoundError:
            pass
        else:
            _refuse(errno.EEXIST)
        check_access(directory, _NAMES_CAN_BE_CREATED)
    status = os.statvfs(directory)
    if not has_inodes(status, inodes):
        _refuse(errno.ENOSPC)
    if disk_quota.has_no_room(directory, inodes=inodes):
        _refuse(errno.EDQUOT)


def can_use_new_directory(directory: bytes) -> bool:
    """Whether who creates a directory in this one may then create names in it."""
    rights = rights_handed_down(directory)
    return rights & _NAMES_CAN_BE_CREATED == _NAMES_CAN_BE_CREATED


def check_move(old: bytes, new: bytes) -> None:
    """Move a file from a directory to another, with rename(2) or link(2).

    That cannot be done from one mount to another, be it of the same file system. The
    kernel finds that out before it looks the names up.
    """
    try:
        os.rename(old + _NAME_OF_NO_FILE, new + _NAME_OF_NO_FILE)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise


def check_make_directories(path: bytes, made: set[bytes]) -> None:
    """Create a directory and the missing ones above it; `made` receives them."""
    for place in (one.rstrip(b"/") for one in places_on_the_way(path)):
        if place in made:
            continue
        try:
            status = os.stat(place)
        except FileNotFoundError:
            try:
                check_create(place, made)
            except FileExistsError:  # a symbolic link that leads nowhere
                _refuse(errno.ENOENT)
            made.add(place)
        else:
            if not stat.S_ISDIR(status.st_mode):
                _refuse(errno.ENOTDIR)


def check_unlink(path: bytes) -> None:
    """Remove a file that is there."""
    directory = parent_of(path)
    status = os.lstat(path)
    check_access(directory, os.W_OK | os.X_OK)
    above = os.stat(directory)
    owners = (above.st_uid, status.st_uid)
    if above.st_mode & stat.S_ISVTX and file_identity.uid() not in owners:
        _refuse(errno.EPERM)
    if stat.S_ISDIR(status.st_mode):
        _refuse(errno.EISDIR)
    try:
        check_access(path, os.W_OK)
    except OSError as error:
        if error.errno == errno.EPERM:  # it is immutable; its mode would not matter
            raise


def check_write(place: bytes, begin: int, size_bytes: int, limit_bytes: int) -> None:
    """Write size_bytes at the offset `begin` to this file, or to one in this directory.

    limit_bytes is the process's limit for a file, 0 for none.
    """
    if is_above_limit(begin + size_bytes, limit_bytes):
        _refuse(errno.EFBIG)
    more_bytes = bytes_to_allocate(place, begin, size_bytes)
    if not has_space(os.statvfs(place), more_bytes):
        _refuse(errno.ENOSPC)
    if more_bytes and disk_quota.has_no_room(place, size_bytes=more_bytes):
        _refuse(errno.EDQUOT)


def is_above_limit(end: int, limit_bytes: int) -> bool:
    """Whether a file may not end there; a limit of 0 is none."""
    return 0 < limit_bytes < end


def bytes_to_allocate(place: bytes, begin: int, size_bytes: int) -> int:
    """How many bytes go beyond the last block of a file that ends at `begin`."""
    if begin:
        size_bytes -= max(0, os.stat(place).st_blocks * _BLOCK_BYTES - begin)
    return max(0, size_bytes)


def has_space(status: os.statvfs_result, more_bytes: int) -> bool:
    """Whether a file system has so many bytes free."""
    return status.f_bavail * status.f_frsize >= more_bytes


def has_inodes(status: os.statvfs_result, more: int) -> bool:
    """Whether a file system has so many inodes free; some do not count them."""
    return not status.f_files or status.f_favail >= more


def parent_of(path: bytes) -> bytes:
    """The directory that a name is in."""
    return os.path.dirname(path.rstrip(b"/")) or (b"/" if path[:1] == b"/" else b".")


def nearest(place: bytes, made: Collection[bytes]) -> bytes:
    """The place, or the nearest one above it that exists already."""
    while place in made:
        place = parent_of(place)
    return place


def _refuse(number: int) -> None:
    raise OSError(number, os.strerror(number))
