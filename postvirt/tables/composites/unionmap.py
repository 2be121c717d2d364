"""unionmap:{type:name, ...} queries all its tables and joins the values with commas.

An empty value adds only the comma after the values before it. If no table has a value,
or all values are empty, the key is not found. If one table fails, the lookup fails.

Parity: src/util/dict_union.c; see `composite`.
Raises: TableError.
"""

from __future__ import annotations

from postvirt.tables.composites.composite import CompositeTable, members
from postvirt.tables.context import TableType


class UnionTable(CompositeTable):
    """The values of all members."""

    def find(self, key: bytes) -> bytes | None:
        """Look the key up in every member."""
        values = [member.lookup(key) for member in self.members]
        joined = b""
        for value in values:
            if value is not None:
                joined = joined + b"," + value if joined else value
        return joined or None


TYPE = TableType(UnionTable, within=members)
