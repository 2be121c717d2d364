"""randmap:{VALUE, VALUE, ...} returns one of its values for every key, at random.

Braces around a value are part of it. virtual(8) looks up whole addresses only; mail for
one address then goes to a different mailbox from one message to the next.

Parity: src/util/dict_random.c.
Raises: TableError when there is no value between the braces.
"""

from __future__ import annotations

import random

from postvirt.errors import TableError
from postvirt.model.text import wire
from postvirt.tables.composites.composite import items
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.file_value import encoded_files
from postvirt.tables.table import Table, TableOptions


class RandomTable(Table):
    """Values to choose from."""

    fixed = False

    def __init__(
        self, type_: str, name: str, options: TableOptions, _context: TableContext
    ) -> None:
        super().__init__(type_, name, options)
        self._values = [wire(value) for value in items(type_, name, "value")]
        if options.file_values:
            try:
                self._values = [encoded_files(value) for value in self._values]
            except ValueError as error:
                raise TableError(str(error)) from None

    def find(self, key: bytes) -> bytes:  # noqa: ARG002 - the same for all keys
        """Choose a value."""
        return random.choice(self._values)


TYPE = TableType(RandomTable)
