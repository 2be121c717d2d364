"""Whether a file may be another machine's, as the kernel says of its file system.

Parity: none.
Source: statfs(2), linux/magic.h.
Raises: OSError.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Final

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

_libc = ctypes.CDLL(None)
_fstatfs, _statfs = _libc.fstatfs, _libc.statfs


def is_remote_file(fd: int, status: os.stat_result) -> bool:
    """Whether an open file with this status may be another machine's."""
    return _is_remote(status, _fstatfs, fd)


def is_remote_directory(path: bytes) -> bool:
    """Whether names in a directory may be another machine's."""
    return _is_remote(os.stat(path), _statfs, path)


def _is_remote(
    status: os.stat_result, ask: Callable[..., int], file: int | bytes
) -> bool:
    if os.major(status.st_dev):
        return False  # mostly there is a block device, which has a major number
    found = ctypes.create_string_buffer(_STATFS_BYTES)
    if ask(file, found) != 0:
        return True
    return ctypes.c_ulong.from_buffer(found).value & _WORD in _REMOTE
