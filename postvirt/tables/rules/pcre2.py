"""Perl-compatible regular expressions, by the system's own libpcre2.

This is the library that Debian's postfix-pcre uses, so the results are the same; every
Debian system has it, because libselinux needs it. A binding from PyPI would bring a
copy of another version, which is not updated with the system.

Patterns and subjects are bytes. As in Postfix, the just-in-time compiler, whose limits
differ, is not used.

Parity: the calls in src/util/dict_pcre.c.
Raises: ExpressionError for a bad pattern and for a match that fails. ImportError if
    the library is missing.
"""

from __future__ import annotations

import ctypes

from postvirt.tables.rules.expression import ExpressionError, Span

# pcre2.h
CASELESS = 0x00000008
DOLLAR_ENDONLY = 0x00000010
DOTALL = 0x00000020
EXTENDED = 0x00000080
MULTILINE = 0x00000400
UNGREEDY = 0x00040000
ANCHORED = 0x80000000
_INFO_CAPTURECOUNT = 4
_ERROR_NOMATCH = -1
_UNSET = ctypes.c_size_t(-1).value

_MAX_MESSAGE_BYTES = 256

try:
    _lib = ctypes.CDLL("libpcre2-8.so.0")
except OSError as error:
    raise ImportError(str(error)) from None

_lib.pcre2_compile_8.restype = ctypes.c_void_p
_lib.pcre2_compile_8.argtypes = (
    ctypes.c_char_p,
    ctypes.c_size_t,
    ctypes.c_uint32,
    ctypes.POINTER(ctypes.c_int),
    ctypes.POINTER(ctypes.c_size_t),
    ctypes.c_void_p,
)
_lib.pcre2_code_free_8.argtypes = (ctypes.c_void_p,)
_lib.pcre2_code_free_8.restype = None
_lib.pcre2_pattern_info_8.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)
_lib.pcre2_match_data_create_from_pattern_8.restype = ctypes.c_void_p
_lib.pcre2_match_data_create_from_pattern_8.argtypes = (
    ctypes.c_void_p,
    ctypes.c_void_p,
)
_lib.pcre2_match_data_free_8.argtypes = (ctypes.c_void_p,)
_lib.pcre2_match_data_free_8.restype = None
_lib.pcre2_get_ovector_pointer_8.restype = ctypes.POINTER(ctypes.c_size_t)
_lib.pcre2_get_ovector_pointer_8.argtypes = (ctypes.c_void_p,)
_lib.pcre2_match_8.argtypes = (
    ctypes.c_void_p,
    ctypes.c_char_p,
    ctypes.c_size_t,
    ctypes.c_size_t,
    ctypes.c_uint32,
    ctypes.c_void_p,
    ctypes.c_void_p,
)
_lib.pcre2_get_error_message_8.argtypes = (
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_size_t,
)


class Pcre2:
    """A compiled pattern; groups is its number of groups."""

    def __init__(self, pattern: bytes, options: int) -> None:
        self._code: int | None = None
        self._match_data: int | None = None
        status = ctypes.c_int()
        offset = ctypes.c_size_t()
        self._code = _lib.pcre2_compile_8(
            pattern,
            len(pattern),
            options,
            ctypes.byref(status),
            ctypes.byref(offset),
            None,
        )
        if self._code is None:
            why = _message(status.value)
            raise ExpressionError(f"error in regex at offset {offset.value}: {why}")
        self._match_data = _lib.pcre2_match_data_create_from_pattern_8(self._code, None)
        if self._match_data is None:
            raise MemoryError
        count = ctypes.c_uint32()
        _lib.pcre2_pattern_info_8(self._code, _INFO_CAPTURECOUNT, ctypes.byref(count))
        self.groups = count.value

    def search(self, subject: bytes, groups: int) -> tuple[Span, ...] | None:
        """The spans of the match and of its first groups, or None."""
        status = _lib.pcre2_match_8(
            self._code, subject, len(subject), 0, 0, self._match_data, None
        )
        if status == _ERROR_NOMATCH:
            return None
        if status < 0:
            raise ExpressionError(_message(status))
        if not groups:
            return ()
        ends = _lib.pcre2_get_ovector_pointer_8(self._match_data)
        return tuple(
            (-1, -1) if ends[at] == _UNSET else (ends[at], ends[at + 1])
            for at in range(0, 2 * (groups + 1), 2)
        )

    def __del__(self) -> None:
        if self._match_data is not None:
            _lib.pcre2_match_data_free_8(self._match_data)
        if self._code is not None:
            _lib.pcre2_code_free_8(self._code)


def _message(status: int) -> str:
    text = ctypes.create_string_buffer(_MAX_MESSAGE_BYTES)
    if _lib.pcre2_get_error_message_8(status, text, len(text)) <= 0:
        return f"unexpected pcre2 error code {status}"
    return text.value.decode("utf-8", "surrogateescape")
