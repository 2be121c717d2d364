"""A table in memory, for types that read all entries when opened.

Parity: src/util/dict_ht.c.
"""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.tables.folding import fold
from postvirt.tables.table import ListedTable, TableOptions


class MemoryTable(ListedTable):
    """Keys and values in a dictionary.

    As in Postfix, keys are stored as they are written unless the options say fold.
    virtual(8) looks up folded addresses only, so a key with capitals never matches.
    """

    def __init__(self, type_: str, name: str, options: TableOptions) -> None:
        super().__init__(type_, name, options)
        self._values: dict[bytes, bytes] = {}

    def __contains__(self, key: bytes) -> bool:
        return self._stored(key) in self._values

    def store(self, key: bytes, value: bytes) -> None:
        """Add an entry, or replace the entry that has this key."""
        self._values[self._stored(key)] = value

    def fill(self, entries: dict[bytes, bytes]) -> None:
        """Have exactly these entries, whose keys are as they are to be stored."""
        self._values = entries

    def _stored(self, key: bytes) -> bytes:
        return fold(key, utf8=self.options.utf8_active) if self.options.fold else key

    def find(self, key: bytes) -> bytes | None:
        """The value in the dictionary."""
        return self._values.get(key)

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """The items of the dictionary."""
        return iter(self._values.items())

    def count(self) -> int:
        """Its size."""
        return len(self._values)
