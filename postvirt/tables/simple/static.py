"""static:VALUE returns the same value for every key.

Parity: src/util/dict_static.c.
Raises: TableError when the braces around the value do not match.
"""

from __future__ import annotations

from postvirt.errors import TableError
from postvirt.model.text import wire
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.file_value import encoded_files
from postvirt.tables.folding import is_utf8
from postvirt.tables.syntax import strip_braces
from postvirt.tables.table import Table, TableOptions


class StaticTable(Table):
    """One value for all keys."""

    def __init__(
        self, type_: str, name: str, options: TableOptions, value: bytes
    ) -> None:
        super().__init__(type_, name, options)
        self._value = value
        if value and (is_utf8(value) or not options.utf8_active):
            self.same = value

    def find(self, key: bytes) -> bytes:  # noqa: ARG002 - the same for all keys
        """Return the value."""
        return self._value


def _open_table(
    type_: str, name: str, options: TableOptions, _context: TableContext
) -> Table:
    """The name is the value; {...} around it allow white space inside."""
    value = name
    if name.startswith("{"):
        try:
            value = strip_braces(name)
        except ValueError as error:
            raise TableError(f"bad {type_}:name syntax: {error}") from None
    if not options.file_values:
        return StaticTable(type_, name, options, wire(value))
    try:
        return StaticTable(type_, name, options, encoded_files(wire(value)))
    except ValueError as error:
        raise TableError(str(error)) from None


TYPE = TableType(_open_table, is_value=True)
