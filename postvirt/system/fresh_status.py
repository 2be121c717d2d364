"""A file that other machines may have changed a moment ago, and its status.

On a network file system, this machine believes for a second or more what it has heard
of a file, even if it has locked it meanwhile. It would append in the wrong place, or
truncate what others have appended. To commit the file makes the client ask the servers
(the cache of GlusterFS is not cleared otherwise), and statx(2) makes the kernel ask the
client; what the kernel has read of the file it forgets. File systems on a shared block
device, as GFS2 and OCFS2, have asked the others before they grant the lock.

Parity: none.
Source: statx(2).
Raises: OSError.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Final

from postvirt.system.remote_files import is_remote_file

_WORKING_DIRECTORY: Final = -100
_EMPTY_PATH, _FORCE_SYNC = 0x1000, 0x2000
_BASIC: Final = 0x7FF
_STATX_BYTES: Final = 256

# Some C libraries do not have it.
_statx: Final[Any] = getattr(ctypes.CDLL(None), "statx", None)


def fresh_status(fd: int) -> os.stat_result:
    """The status of an open file that is locked now, and may be read now."""
    status = os.fstat(fd)
    if not is_remote_file(fd, status):
        return status
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
