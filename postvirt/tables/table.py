"""A lookup table: it returns a value for a key, or none.

This is what all types have in common: the rules for UTF-8, case folding of the key, and
how to notice that a table file has changed. A type adds `find`.

Parity: src/util/dict.h, src/util/dict_utf8.c, dict_changed_name() of src/util/dict.c.
Differs: Changes within a second. Two versions of an index file are told apart by
    nanoseconds; Postfix compares whole seconds, and misses a second change within one.
Raises: TableError if a lookup fails.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

from postvirt.errors import TableError
from postvirt.model.text import text
from postvirt.system import log
from postvirt.tables.folding import fold, is_utf8

_NOT_UTF8 = "malformed UTF-8 or invalid codepoint"


class TableOptions(NamedTuple):
    """How to open a table; Postfix's DICT_FLAG_* where a caller has a choice.

    utf8             smtputf8_enable
    paranoid         refuse what its owner does not control (virtual(8)'s three maps)
    lock             lock the file while it is read
    fold             fold the key, and the keys of a table that is made in memory
    utf8_request     whether this caller wants UTF-8 checked at all
    warn_duplicates  a duplicate key in a text file is a warning, not an error
    must_open        a table that cannot be opened is an error at once, and not only
                     at the first lookup (Postfix: dict_allow_surrogate is off)
    file_values      values are names of files (`postmap -F`); see `file_value`

    virtual(8) does not fold, because the recipient already is. `postmap -q` folds, and
    only warns about duplicates.
    """

    utf8: bool = False
    paranoid: bool = False
    lock: bool = True
    fold: bool = False
    utf8_request: bool = True
    warn_duplicates: bool = False
    must_open: bool = False
    file_values: bool = False

    @property
    def utf8_active(self) -> bool:
        """Whether keys and values must be UTF-8."""
        return self.utf8 and self.utf8_request

    @property
    def flags(self) -> str:
        """The options as Postfix logs them, for example "lock|utf8_request"."""
        names = (
            ("warn_dup", self.warn_duplicates),
            ("lock", self.lock),
            ("no_regsub", self.paranoid),
            ("no_proxy", self.paranoid),
            ("no_unauth", self.paranoid),
            ("fold_fix", self.fold),
            ("utf8_request", self.utf8_request),
        )
        return "|".join(name for name, is_set in names if is_set) or "0"


class Table(ABC):
    """An open table.

    type   what is before the colon, "hash"
    name   what is after it; some types append the suffix of the file that they read
    fixed  keys are compared as a whole, so that a part of an address is a sensible key;
           parts must not be looked up in tables of patterns
    same   the value of all keys that are ASCII, if there is one
    """

    fixed = True
    same: bytes | None = None

    def __init__(self, type_: str, name: str, options: TableOptions) -> None:
        self.type = type_
        self.name = name
        self.options = options
        # The flags as attributes of their own: every lookup reads them.
        self._checks_utf8 = options.utf8_active
        self._folds = options.fold

    @property
    def title(self) -> str:
        """The table as log lines name it."""
        return f"{self.type}:{self.name}"

    def lookup(self, key: bytes) -> bytes | None:
        """The value, or None when there is no such key.

        A key that is not UTF-8 cannot exist; a value that is not UTF-8 is an error.
        """
        utf8 = self._checks_utf8
        if utf8 and not is_utf8(key):
            log.warning(f'{self.title}: non-UTF-8 key "{text(key)}": {_NOT_UTF8}')
            return None
        if self._folds and self.fixed:
            key = fold(key, utf8=utf8)
        value = self.find(key)
        if utf8 and value is not None and not is_utf8(value):
            reason = (
                f'{self.title}: key "{text(key)}":'
                f' non-UTF-8 value "{text(value)}": {_NOT_UTF8}'
            )
            log.warning(reason)
            raise TableError(reason)
        return value

    @abstractmethod
    def find(self, key: bytes) -> bytes | None:
        """The value, for `lookup`, which has checked UTF-8 and folded the key."""

    def changed(self) -> bool:
        """Whether the file is not the one that was opened; False without a file."""
        return False

    def close(self) -> None:  # noqa: B027 - most types have nothing to close
        """Close descriptors; there are no lookups after this."""


class ListedTable(Table):
    """A table whose entries can be listed.

    Delivery never does that; check-config does.
    """

    @abstractmethod
    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values as they are stored, only some in memory at a time.

        Lookups and postmap may run meanwhile.
        Raises: TableError if the next entries cannot be read.
        """

    @abstractmethod
    def count(self) -> int:
        """The number of entries, which may be an estimate.

        Raises: TableError.
        """


class TableFile(NamedTuple):
    """A file that a table is read from.

    is_read_live    lookups see at once what is written to the file, so only another
                    file in its place is a change
    """

    path: str
    is_read_live: bool = False


class FileVersion(NamedTuple):
    """Distinguishes one version of an open table file from the next."""

    fd: int
    mtime_ns: int

    @classmethod
    def of(cls, fd: int) -> FileVersion:
        """The version that is open now."""
        return cls(fd, os.fstat(fd).st_mtime_ns)

    def is_outdated(self, *, multi_writer: bool = False) -> bool:
        """Whether the file was removed, or written unless many may write it safely."""
        now = os.fstat(self.fd)
        if now.st_nlink == 0:
            return True
        return not multi_writer and now.st_mtime_ns != self.mtime_ns
