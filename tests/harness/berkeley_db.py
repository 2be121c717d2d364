"""Write Berkeley DB files that postmap(1) would not: byte order, size of pages, fill.

With the library that Debian's Postfix uses, by the interface of Berkeley DB 1.85, which
needs no headers.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from tests.harness.databases import missing

_LIBRARY = "libdb-5.3.so"
_BTREE, _HASH = 0, 1
_BYTE_ORDERS = {"little": 1234, "big": 4321, "": 0}


class _Data(ctypes.Structure):
    _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_size_t))


_CLOSE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_PUT = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.POINTER(_Data),
    ctypes.POINTER(_Data),
    ctypes.c_uint,
)


class _Database(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("close", _CLOSE),
        ("delete", ctypes.c_void_p),
        ("get", ctypes.c_void_p),
        ("put", _PUT),
    )


class _HashInfo(ctypes.Structure):
    _fields_ = (
        ("page_bytes", ctypes.c_uint),
        ("fill", ctypes.c_uint),
        ("announced", ctypes.c_uint),
        ("cache_bytes", ctypes.c_uint),
        ("hash", ctypes.c_void_p),
        ("byte_order", ctypes.c_int),
    )


class _BtreeInfo(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint),
        ("cache_bytes", ctypes.c_uint),
        ("most_keys", ctypes.c_uint),
        ("least_keys", ctypes.c_uint),
        ("page_bytes", ctypes.c_uint),
        ("compare", ctypes.c_void_p),
        ("prefix", ctypes.c_void_p),
        ("byte_order", ctypes.c_int),
    )


def write(
    path: Path,
    type_: str,
    entries: Mapping[bytes, bytes],
    *,
    page_bytes: int = 0,
    byte_order: str = "",
    fill: int = 0,
    announced: int = 0,
) -> None:
    """Create a file; 0 and "" are the library's defaults.

    fill and announced are a hash file's keys in a bucket, and in all.
    """
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        missing(_LIBRARY)
        raise
    open_ = library["__db185_open"]
    open_.restype = ctypes.POINTER(_Database)
    order = _BYTE_ORDERS[byte_order]
    info = (
        _HashInfo(page_bytes, fill, announced, 0, None, order)
        if type_ == "hash"
        else _BtreeInfo(0, 0, 0, 0, page_bytes, None, None, order)
    )
    kind = _HASH if type_ == "hash" else _BTREE
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
    opened = open_(str(path).encode(), flags, 0o644, kind, ctypes.byref(info))
    assert opened, path
    for key, value in entries.items():
        key_data, value_data = _Data(key, len(key)), _Data(value, len(value))
        assert opened.contents.put(opened, key_data, value_data, 0) == 0
    assert opened.contents.close(opened) == 0
