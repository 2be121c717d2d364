"""Rename a file to a name that does not exist yet.

rename(2) replaces a file that has the new name; renameat2(2) can refuse to.

Parity: none; virtual(8) makes a second name with link(2) and removes the first.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1

# Some C libraries do not have it. There are no `argtypes`, which take as long as all
# the rest of the call: numbers and bytes are passed as int and char * anyway.
_renameat2: Final[Any] = getattr(ctypes.CDLL(None), "renameat2", None)


def rename_to_new_name(old: bytes, new: bytes) -> bool:
    """Rename the file; False if that fails. link(2) may report a better reason."""
    if _renameat2 is None:
        return False
    done: int = _renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE)
    return done == 0
