"""environ:NAME has the variables of the environment; NAME is for the log.

A program that trades privileges does not trust its environment: virtual(8), which is
root at heart and mail_owner in effect, finds nothing here. `postmap -q` and `postvirt
lookup` fold the key and find variables without capitals only.

Parity: src/util/dict_env.c, src/util/safe_getenv.c, src/util/unsafe.c.
Raises: nothing.
"""

from __future__ import annotations

import os

from postvirt.tables.context import TableContext, TableType
from postvirt.tables.table import Table, TableOptions


class EnvironTable(Table):
    """The environment as it is when asked."""

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
