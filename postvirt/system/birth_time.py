"""When a file was created: statx(2) says it, and os.stat() does not ask.

Parity: none.
Raises: nothing.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

_EMPTY_PATH: Final = 0x1000
_BIRTH: Final = 0x800

# Where struct statx has what it knows, and the time: seconds, then nanoseconds.
_SIZE: Final = 256
_MASK_AT: Final = 0
_SECONDS_AT: Final = 80
_NANOSECONDS_AT: Final = 88

# Some C libraries do not have it.
_statx: Final[Any] = getattr(ctypes.CDLL(None), "statx", None)


def birth_time(fd: int) -> float | None:
    """When an open file was created, in seconds since 1970; None if nobody knows."""
    if _statx is None:
        return None
    found = ctypes.create_string_buffer(_SIZE)
    if _statx(fd, b"", _EMPTY_PATH, _BIRTH, found) != 0:
        return None
    if not ctypes.c_uint32.from_buffer(found, _MASK_AT).value & _BIRTH:
        return None
    seconds: int = ctypes.c_int64.from_buffer(found, _SECONDS_AT).value
    nanoseconds: int = ctypes.c_uint32.from_buffer(found, _NANOSECONDS_AT).value
    return seconds + nanoseconds / 1_000_000_000
