"""Open a file that is open already once more, for reading.

/proc leads from a descriptor to its file, whatever has become of its name. Where /proc
is not mounted, as in some containers, the name is used, if it still leads there.

Raises: OSError.
Security: nothing is opened by a name that leads to another file just before; what is
opened nevertheless is closed without being read.
"""

from __future__ import annotations

import errno
import os
import stat

from postvirt.system.descriptors import close


def open_again(fd: int, path: bytes, flags: int = 0) -> int:
    """Another descriptor, with more flags; path is where a regular file was opened."""
    flags |= os.O_RDONLY | os.O_CLOEXEC
    try:
        return os.open(f"/proc/self/fd/{fd}", flags)
    except FileNotFoundError:
        pass
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or not _is_same(os.stat(path), status):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    again = os.open(path, flags | os.O_NONBLOCK)
    if not _is_same(os.fstat(again), status):
        close(again)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return again


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
