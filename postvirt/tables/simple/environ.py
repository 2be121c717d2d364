"""environ:NAME contains the environment variables; NAME is for the log.

A process whose effective identity is not its real one does not trust its environment:
virtual(8), which is root running as mail_owner, finds nothing here. `postmap -q` and
`postvirt lookup` fold the key, so they find only variables without capitals.

Parity: src/util/dict_env.c, src/util/safe_getenv.c, src/util/unsafe.c.
Raises: nothing.
"""

from __future__ import annotations

import os

from postvirt.tables.context import TableContext, TableType
from postvirt.tables.table import Table, TableOptions


class EnvironTable(Table):
    """The environment at the time of the lookup."""

    def find(self, key: bytes) -> bytes | None:
        """The variable's value, if this process may trust it."""
        if os.geteuid() != os.getuid() or os.getegid() != os.getgid():
            return None
        return os.environb.get(key)


def _open_table(
    type_: str, name: str, options: TableOptions, _context: TableContext
) -> Table:
    return EnvironTable(type_, name, options)


TYPE = TableType(_open_table)
