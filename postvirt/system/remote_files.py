"""Whether a file may be another machine's, as the kernel says of its file system.

A file system on a block device is this machine's, or takes care of the others itself.

Parity: none.
Source: statfs(2), linux/magic.h.
Raises: nothing.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

_FUSE: Final = 0x6573_5546
# 9p, AFS, Ceph, CIFS, FUSE, Lustre, NFS, SMB.
_REMOTE: Final = frozenset(
    (
        0x0102_1997,
        0x5346_414F,
        0x00C3_6400,
        0xFF53_4D42,
        _FUSE,
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
    if os.major(status.st_dev):
        return False
    found = ctypes.create_string_buffer(_STATFS_BYTES)
    return _fstatfs(fd, found) != 0 or _type_in(found) in _REMOTE


def is_on_fuse(path: bytes) -> bool:
    """Whether a directory is on a file system that is a program."""
    found = ctypes.create_string_buffer(_STATFS_BYTES)
    return _statfs(path, found) == 0 and _type_in(found) == _FUSE


def _type_in(found: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.c_ulong.from_buffer(found).value & _WORD
