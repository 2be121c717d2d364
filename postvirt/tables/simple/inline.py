"""inline:{key=value, {key = value with spaces}} is a table within main.cf.

Parity: src/util/dict_inline.c.
Raises: TableError when the text between the braces cannot be used.
"""

from __future__ import annotations

from postvirt.config.braces import balanced
from postvirt.config.lists import split
from postvirt.errors import TableError
from postvirt.model.text import wire
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.file_value import encoded_files
from postvirt.tables.folding import is_utf8
from postvirt.tables.simple.memory import MemoryTable
from postvirt.tables.syntax import split_pair, strip_braces
from postvirt.tables.table import Table, TableOptions


def _open_table(
    type_: str, name: str, options: TableOptions, _context: TableContext
) -> Table:
    """Read the pairs; the last of equal keys counts."""

    def unusable(reason: str) -> TableError:
        spec = f'"{type_}:{name}"'
        value = "filename" if options.file_values else "value"
        return TableError(f'{reason}: {spec}; need "{type_}:{{name={value}...}}"')

    if options.utf8_active and not is_utf8(wire(name)):
        raise unusable("bad UTF-8 syntax")
    length = balanced(name)
    if length <= len("{}") or length != len(name):
        raise unusable("bad syntax")
    items = list(split(name[1:-1]))
    if not items:
        raise unusable("empty table")
    table = MemoryTable(type_, name, options)
    for item in items:
        try:
            pair = strip_braces(item) if item.startswith("{") else item
            key, value = split_pair(pair)
            result = wire(value)
            if options.file_values:
                result = encoded_files(result)
        except ValueError as error:
            raise unusable(str(error)) from None
        table.store(wire(key), result)
    return table


TYPE = TableType(_open_table, is_value=True)
