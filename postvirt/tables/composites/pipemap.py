"""pipemap:{type:name, ...} asks its tables in turn, each for the value of the last.

The value of the last one is the value. When a table does not know its key, the key is
not there and later tables are not asked; when a table fails, the lookup fails.

Parity: src/util/dict_pipe.c; see `composite`.
Raises: TableError.
"""

from __future__ import annotations

from postvirt.tables.composites import composite
from postvirt.tables.composites.composite import CompositeTable
from postvirt.tables.table import Table, TableOptions

tables_within = composite.tables_within


class PipeTable(CompositeTable):
    """The members one behind the other."""

    def find(self, key: bytes) -> bytes | None:
        """Ask every member with the value of the one before."""
        for member in self.members:
            value = member.lookup(key)
            if value is None:
                return None
            key = value
        return key


def open_table(type_: str, name: str, options: TableOptions) -> Table:
    """Open the members."""
    return PipeTable(type_, name, options)
