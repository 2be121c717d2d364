"""Rename a file to a name that nobody has yet.

rename(2) replaces a file that has the new name; renameat2(2) can be told not to.

Parity: none; virtual(8) makes a second name with link(2) and removes the first.
Raises: nothing.
"""

from __future__ import annotations

import ctypes
from typing import Any

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1

_renameat2: Any = getattr(ctypes.CDLL(None), "renameat2", None)
if _renameat2 is not None:  # there are C libraries without it
    _renameat2.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )


def rename_to_new_name(old: bytes, new: bytes) -> bool:
    """Whether the file has its new name now; why not, link(2) may say better."""
    if _renameat2 is None:
        return False
    done: int = _renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE)
    return done == 0
