"""environ:NAME contains the environment variables; NAME is for the log.

A process that has more rights than the user that it works as does not trust its
environment: virtual(8), which is root running as mail_owner, finds nothing here, and
neither does a worker. `postmap -q` and
`postvirt lookup` fold the key, so they find only variables without capitals.

Parity: src/util/dict_env.c, src/util/safe_getenv.c, src/util/unsafe.c.
Raises: nothing.
"""

from __future__ import annotations

import os

from postvirt.system.capabilities import has_more_than_its_user
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.table import Table, TableOptions


class EnvironTable(Table):
    """The environment at the time of the lookup."""

    def find(self, key: bytes) -> bytes | None:
        """The variable's value, if this process may trust it."""
        if has_more_than_its_user():
            return None
        return os.environb.get(key)


def _open_table(
    type_: str, name: str, options: TableOptions, _context: TableContext
) -> Table:
    return EnvironTable(type_, name, options)


TYPE = TableType(_open_table)
