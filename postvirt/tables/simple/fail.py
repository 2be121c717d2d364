"""fail:NAME fails at every lookup, to test what happens then.

NAME is for the log. virtual(8) looks up whole addresses only, and defers the mail.

Parity: src/util/dict_fail.c.
Raises: TableError at every lookup.
"""

from __future__ import annotations

from typing import NoReturn

from postvirt.errors import TableError
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.table import Table, TableOptions


class FailTable(Table):
    """A table whose lookups fail."""

    fixed = False

    def find(self, key: bytes) -> NoReturn:  # noqa: ARG002 - no key makes a difference
        """Fail."""
        raise TableError(f"{self.title} always fails")


def _open_table(
    type_: str, name: str, options: TableOptions, _context: TableContext
) -> Table:
    return FailTable(type_, name, options)


TYPE = TableType(_open_table)
