"""unionmap:{type:name, ...} asks all its tables and joins the values with commas.

A value that is empty adds nothing but the comma after those before it. When no table
has a value, or all are empty, the key is not there. One table that fails makes the
lookup fail.

Parity: src/util/dict_union.c; see `composite`.
Raises: TableError.
"""

from __future__ import annotations

from postvirt.tables.composites.composite import CompositeTable, members
from postvirt.tables.context import TableType


class UnionTable(CompositeTable):
    """The values of all members."""

    def find(self, key: bytes) -> bytes | None:
        """Ask every member with the same key."""
        values = [member.lookup(key) for member in self.members]
        joined = b""
        for value in values:
            if value is not None:
                joined = joined + b"," + value if joined else value
        return joined or None


TYPE = TableType(UnionTable, within=members)
