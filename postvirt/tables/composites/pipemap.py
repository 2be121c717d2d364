"""pipemap:{type:name, ...} asks its tables in turn, each for the value of the last.

The value of the last one is the value. When a table does not know its key, the key is
not there and later tables are not asked; when a table fails, the lookup fails.

Parity: src/util/dict_pipe.c; see `composite`.
Raises: TableError.
"""

from __future__ import annotations

from postvirt.tables.composites.composite import CompositeTable, members
from postvirt.tables.context import TableType


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


TYPE = TableType(PipeTable, within=members)
