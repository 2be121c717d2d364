"""pipemap:{type:name, ...} looks up the value from each table in the next one.

The result is the value from the last table. If a table does not have its key, the key
is not found and later tables are not queried; if a table fails, the lookup fails.

Parity: src/util/dict_pipe.c; see `composite`.
Raises: TableError.
"""

from __future__ import annotations

from postvirt.tables.composites.composite import CompositeTable, members
from postvirt.tables.context import TableType


class PipeTable(CompositeTable):
    """The members in sequence."""

    def find(self, key: bytes) -> bytes | None:
        """Look up the key in the first member, and each value in the next."""
        for member in self.members:
            value = member.lookup(key)
            if value is None:
                return None
            key = value
        return key


TYPE = TableType(PipeTable, within=members)
