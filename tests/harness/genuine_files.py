"""Postfix's own safe_open() and make_dirs(), from the installed library.

To be called in a forked child: a fatal error in the library ends the process.
"""

from __future__ import annotations

import ctypes
import os

_LIBRARY = "/usr/lib/postfix/libpostfix-util.so"


class _VString(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_int), ("data", ctypes.c_char_p))


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(_LIBRARY, use_errno=True)
    library.safe_open.restype = ctypes.c_void_p
    library.vstring_alloc.restype = ctypes.POINTER(_VString)
    library.vstring_alloc.argtypes = (ctypes.c_ssize_t,)
    return library


def safe_open(path: bytes, flags: int, mode: int) -> tuple[int, str]:
    """0 and "" when the file was opened or created, else errno and the reason."""
    library = _library()
    why = library.vstring_alloc(100)
    stream = library.safe_open(
        path,
        flags | os.O_CREAT | os.O_NONBLOCK,
        mode,
        None,
        ctypes.c_uint32(2**32 - 1),
        ctypes.c_uint32(2**32 - 1),
        why,
    )
    number = ctypes.get_errno()
    return (0, "") if stream else (number, why.contents.data.decode())


def make_dirs(path: bytes, mode: int) -> int:
    """0, or the errno of the failure."""
    library = _library()
    failed = library.make_dirs(path, mode) < 0
    return ctypes.get_errno() if failed else 0
