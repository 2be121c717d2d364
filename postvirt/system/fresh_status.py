"""A file that other machines may have changed a moment ago, and its status.

On a network file system, this machine believes for a second or more what it has heard
of a file, even if it has locked it meanwhile. It would append in the wrong place, or
truncate what others have appended. To commit the file makes the client ask the servers
(the cache of GlusterFS is not cleared otherwise), and statx(2) makes the kernel ask the
client; what the kernel has read of the file it forgets. File systems on a shared block
device, as GFS2 and OCFS2, have asked the others before they grant the lock.

Parity: none.
Source: statfs(2), statx(2), linux/magic.h.
Raises: OSError.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Final

# 9p, AFS, Ceph, CIFS, FUSE, Lustre, NFS, SMB.
_REMOTE: Final = frozenset(
    (
        0x0102_1997,
        0x5346_414F,
        0x00C3_6400,
        0xFF53_4D42,
        0x6573_5546,
        0x0BD0_0BD0,
        0x6969,
        0xFE53_4D42,
    )
)
_WORD: Final = 0xFFFF_FFFF
_STATFS_BYTES: Final = 256

_WORKING_DIRECTORY: Final = -100
_EMPTY_PATH, _FORCE_SYNC = 0x1000, 0x2000
_BASIC: Final = 0x7FF
_STATX_BYTES: Final = 256

_libc = ctypes.CDLL(None, use_errno=True)
_fstatfs = _libc.fstatfs
# Some C libraries do not have it.
_statx: Final[Any] = getattr(_libc, "statx", None)


def fresh_status(fd: int) -> os.stat_result:
    """The status of an open file that is locked now, and may be read now."""
    status = os.fstat(fd)
    if os.major(status.st_dev) or not _is_remote(fd):
        return status  # mostly there is a block device, which has a major number
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    _ask(fd, b"", _EMPTY_PATH)
    return os.fstat(fd)


def fresh_status_of(path: bytes) -> os.stat_result:
    """The status of a file that is not open, as far as the kernel can ask for it."""
    _ask(_WORKING_DIRECTORY, path)
    return os.stat(path)


def _ask(directory: int, path: bytes, flags: int = 0) -> None:
    if _statx is not None:
        found = ctypes.create_string_buffer(_STATX_BYTES)
        _statx(directory, path, flags | _FORCE_SYNC, _BASIC, found)


def _is_remote(fd: int) -> bool:
    """Whether the file may be another machine's."""
    found = ctypes.create_string_buffer(_STATFS_BYTES)
    if _fstatfs(fd, found) != 0:
        return True
    return ctypes.c_ulong.from_buffer(found).value & _WORD in _REMOTE
