"""POSIX regular expressions, by the C library: regcomp(3) and regexec(3).

Python's own `re` has another syntax, and chooses differently among several matches:
POSIX requires the longest one. Only the C library returns the results of Postfix.

Patterns and subjects are bytes and end at their first NUL. They are processed in the C
locale, in which Postfix runs: "." matches one byte, and only A to Z have two cases.

Parity: the calls in src/util/dict_regexp.c.
Differs: Parentheses in patterns. A rule of a `regexp:` table with more than 5,000
    parentheses is skipped with a warning; nested ones end the process of virtual(8).
Raises: ExpressionError for a bad pattern and for a match that fails. ImportError if
    the C library does not lay out a regex_t as glibc does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from postvirt.tables.rules.expression import ExpressionError, Span

# regex.h of glibc.
EXTENDED = 1
ICASE = 2
NEWLINE = 4
NOSUB = 8
_NOMATCH = 1

# glibc calls itself for each one, and 16,000 overflow the stack.
_MOST_PARENTHESES = 5000

_LC_ALL_MASK = 0x1FBF
_MAX_MESSAGE_BYTES = 256


class _RegexT(ctypes.Structure):
    """regex_t; the members after re_nsub are not used, and have room to spare."""

    _fields_ = (
        ("buffer", ctypes.c_void_p),
        ("allocated", ctypes.c_ulong),
        ("used", ctypes.c_ulong),
        ("syntax", ctypes.c_ulong),
        ("fastmap", ctypes.c_void_p),
        ("translate", ctypes.c_void_p),
        ("re_nsub", ctypes.c_size_t),
        ("rest", ctypes.c_char * 200),
    )


class _RegmatchT(ctypes.Structure):
    _fields_ = (("rm_so", ctypes.c_int), ("rm_eo", ctypes.c_int))


_libc = ctypes.CDLL(None)
_libc.newlocale.restype = ctypes.c_void_p
_libc.newlocale.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_libc.uselocale.restype = ctypes.c_void_p
_libc.uselocale.argtypes = (ctypes.c_void_p,)
_libc.regcomp.argtypes = (ctypes.POINTER(_RegexT), ctypes.c_char_p, ctypes.c_int)
_libc.regexec.argtypes = (
    ctypes.POINTER(_RegexT),
    ctypes.c_char_p,
    ctypes.c_size_t,
    ctypes.POINTER(_RegmatchT),
    ctypes.c_int,
)
_libc.regerror.restype = ctypes.c_size_t
_libc.regerror.argtypes = (
    ctypes.c_int,
    ctypes.POINTER(_RegexT),
    ctypes.c_char_p,
    ctypes.c_size_t,
)
_libc.regfree.argtypes = (ctypes.POINTER(_RegexT),)

_c_locale = _libc.newlocale(_LC_ALL_MASK, b"C", None)


@contextmanager
def in_c_locale() -> Iterator[None]:
    """Use the C locale in this thread; for all other calls of this module."""
    before = _libc.uselocale(_c_locale)
    try:
        yield
    finally:
        _libc.uselocale(before)


class PosixRegex:
    """A compiled pattern; groups is its number of groups."""

    def __init__(self, pattern: bytes, options: int) -> None:
        self._regex = _RegexT()
        self._compiled = False
        if pattern.count(b"(") > _MOST_PARENTHESES:
            raise ExpressionError(f"more than {_MOST_PARENTHESES} parentheses")
        status = _libc.regcomp(ctypes.byref(self._regex), pattern, options)
        if status != 0:
            raise ExpressionError(self._message(status))
        self._compiled = True
        self.groups = int(self._regex.re_nsub)

    def search(self, subject: bytes, groups: int) -> tuple[Span, ...] | None:
        """The spans of the match and of its first groups, or None.

        Without groups the tuple is empty. A group that did not take part is (-1, -1).
        """
        count = groups + 1 if groups else 0
        places = (_RegmatchT * count)()
        status = _libc.regexec(ctypes.byref(self._regex), subject, count, places, 0)
        if status == _NOMATCH:
            return None
        if status != 0:
            raise ExpressionError(self._message(status))
        return tuple((place.rm_so, place.rm_eo) for place in places)

    def _message(self, status: int) -> str:
        text = ctypes.create_string_buffer(_MAX_MESSAGE_BYTES)
        _libc.regerror(status, ctypes.byref(self._regex), text, len(text))
        return text.value.decode("utf-8", "surrogateescape")

    def __del__(self) -> None:
        if self._compiled:
            _libc.regfree(ctypes.byref(self._regex))


def _check_layout() -> None:
    """Refuse a C library with other structures before it is used."""
    try:
        with in_c_locale():
            regex = PosixRegex(b"x(a|(b))(c)", EXTENDED)
            found = regex.search(b"_xac", 3)
    except ExpressionError as error:
        raise ImportError(str(error)) from None
    if regex.groups != 3 or found != ((1, 4), (2, 3), (-1, -1), (3, 4)):
        raise ImportError(
            "the regular expressions of this C library are not those of glibc"
        )


_check_layout()
