"""Rename a file to a name that does not exist yet.

rename(2) replaces a file that has the new name; renameat2(2) can refuse to.

Parity: none; virtual(8) makes a second name with link(2) and removes the first.
"""

from __future__ import annotations

import ctypes
from typing import Any

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1

_renameat2: Any = getattr(ctypes.CDLL(None), "renameat2", None)
if _renameat2 is not None:  # some C libraries do not have it
    _renameat2.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )


def rename_to_new_name(old: bytes, new: bytes) -> bool:
    """Rename the file; False if that fails. link(2) may report a better reason."""
    if _renameat2 is None:
        return False
    done: int = _renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE)
    return done == 0
