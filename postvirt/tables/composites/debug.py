"""debug:TYPE:NAME is the table TYPE:NAME, with every lookup and its result logged.

Parity: src/util/dict_debug.c of Postfix 3.11.
Raises: what the table raises.
"""

from __future__ import annotations

from postvirt.errors import TableError
from postvirt.model.text import text
from postvirt.system import log
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.table import Table, TableOptions


class DebugTable(Table):
    """A table and its log; the table's own rules for keys apply."""

    def __init__(
        self, type_: str, name: str, options: TableOptions, context: TableContext
    ) -> None:
        if ":" not in name:
            raise TableError(f'bad syntax: "{type_}:{name}"; need "{type_}:type:name"')
        super().__init__(type_, name, TableOptions(lock=options.lock))
        self._table = context.open(name, options)
        self.fixed = self._table.fixed

    def find(self, key: bytes) -> bytes | None:
        """Look the key up, and log the result."""
        answer = "error"
        try:
            value = self._table.lookup(key)
            answer = "not_found" if value is None else text(value)
        finally:
            log.info(f'{self.name} lookup: "{text(key)}" = "{answer}"')
        return value

    def changed(self) -> bool:
        """Whether the table has changed."""
        return self._table.changed()

    def close(self) -> None:
        """Close the table."""
        self._table.close()


def _tables_within(name: str, _context: TableContext) -> tuple[str, ...]:
    return (name,) if ":" in name else ()


TYPE = TableType(DebugTable, within=_tables_within)
