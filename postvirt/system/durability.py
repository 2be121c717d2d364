"""The system calls that make data survive a power cut.

A failed fsync is never tried again, because the kernel has dropped the dirty pages by
then, and a second call would report success for data that is lost.

Raises: nothing; an error is returned, so that it is that of one file among several.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from typing import Final

# sync_file_range(2).
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4

# What a file system says that has shut itself down; a directory cannot be written to.
_SHUT_DOWN: Final = (errno.EIO, errno.EROFS)

_libc = ctypes.CDLL(None, use_errno=True)
# Without `argtypes`, which take as long as all the rest of the call: a number of Python
# is passed as an int of C, and offset and size, which are wider, are always these.
_sync_file_range = _libc.sync_file_range
_FROM_START: Final = ctypes.c_int64(0)
_TO_END: Final = ctypes.c_int64(0)

_syncfs = _libc.syncfs
_syncfs.argtypes = (ctypes.c_int,)


def write_out(fds: Sequence[int]) -> list[OSError | None]:
    """Wait until the kernel has sent the data of all files to the disk, all at once.

    The data may still be in the disk's cache, and the inodes are not committed.
    """
    begun = [begin_to_write_out(fd) if len(fds) > 1 else None for fd in fds]
    # An error of beginning need not be reported once more by waiting.
    return [
        error or _write_out(fd, _WAIT_BEFORE | _WRITE | _WAIT_AFTER)
        for fd, error in zip(fds, begun, strict=True)
    ]


def begin_to_write_out(fd: int) -> OSError | None:
    """Have a file's data sent to the disk, and do not wait.

    After an error, no commit of the file counts: the kernel may have dropped the data,
    and says so only once.
    """
    return _write_out(fd, _WRITE)


def _write_out(fd: int, flags: int) -> OSError | None:
    if _sync_file_range(fd, _FROM_START, _TO_END, flags) == 0:
        return None
    return error_of(ctypes.get_errno() or errno.EIO)


def commit(fd: int) -> OSError | None:
    """Wait until a file, or the names in a directory, are on disk."""
    try:
        os.fsync(fd)
    except OSError as error:
        return error_of(error.errno or errno.EIO)
    return shutdown_of(fd)


def shutdown_of(fd: int) -> OSError | None:
    """The error of a file system that has shut itself down; ask after each commit.

    ext4 and xfs may report success for a commit that is under way at that moment, and
    all that was to be committed is lost. Afterwards xfs refuses fstat(2), and ext4 a
    write(2), be it of nothing.
    """
    try:
        os.fstat(fd)
        os.write(fd, b"")
    except OSError as error:
        return error if error.errno in _SHUT_DOWN else None
    return None


def error_of(number: int) -> OSError | None:
    """The error for the errno of a commit; 0 is success."""
    return OSError(number, os.strerror(number)) if number else None


def is_unsupported(error: OSError | None) -> bool:
    """Whether the file system cannot commit a directory.

    Some network and FUSE file systems cannot, because their server decides when a name
    is durable.
    """
    return error is not None and error.errno in (errno.EINVAL, errno.EOPNOTSUPP)


def commit_file_system(fd: int) -> OSError | None:
    """Wait until all of the file system that a file is on is on disk.

    For names in a directory that cannot be opened. An error that the file system has
    met since the file was opened is reported, too.
    """
    if _syncfs(fd) == 0:
        return shutdown_of(fd)
    return error_of(ctypes.get_errno() or errno.EIO)
