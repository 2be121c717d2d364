"""A list of tables that are queried one after the other.

The first table that has the key decides. A table that fails ends the search: its value
is unknown, and the value of a later table must not replace it.

Parity: src/global/maps.c.
Raises: TableError for a table that fails and for an empty value.
"""

from __future__ import annotations

from collections.abc import Sequence

from postvirt.config.lists import split
from postvirt.errors import TableError
from postvirt.model.text import text
from postvirt.system import log
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.table import Table, TableOptions


class Maps:
    """The tables of one parameter; title is the parameter's name."""

    def __init__(
        self, title: str, tables: Sequence[Table], labels: Sequence[str] = ()
    ) -> None:
        """Chain open tables; labels are their names for `changed`."""
        self.title = title
        self.chain(tables, labels)

    def chain(self, tables: Sequence[Table], labels: Sequence[str] = ()) -> None:
        """Have these tables instead."""
        self.tables = tuple(tables)
        self.same = tables[0].same if tables else None
        self._labels = tuple(labels) or tuple(table.title for table in tables)

    def find(self, key: bytes, *, partial: bool = False) -> bytes | None:
        """The value of the key, or None.

        partial says that the key is a part of an address, which is looked up only in
        tables with fixed keys.
        """
        if not key:
            return None
        for table in self.tables:
            if partial and not table.fixed:
                continue
            try:
                value = table.lookup(key)
            except TableError:
                log.warning(f'{table.title} lookup error for "{text(key)}"')
                raise
            if value is None:
                continue
            if not value:
                complaint = (
                    f"{self.title} lookup of {text(key)} returns an empty string result"
                )
                log.warning(complaint)
                log.warning(
                    f"{self.title} should return NO RESULT in case of NOT FOUND"
                )
                raise TableError(complaint)
            return value
        return None

    def changed(self) -> str | None:
        """The first table whose file has changed, as Postfix logs it, or None."""
        for label, table in zip(self._labels, self.tables, strict=True):
            if table.changed():
                return label
        return None

    def close(self) -> None:
        """Close all tables."""
        for table in self.tables:
            table.close()


def open_maps(
    title: str,
    names: Sequence[str] | str,
    options: TableOptions,
    opened: OpenTables,
) -> Maps:
    """Open the tables of a list, given as text or as its "type:name" items.

    A table that is open already is not opened again. `opened` owns the tables: it is to
    be closed, and not the Maps, and it may open them later.
    """
    wanted = split(names) if isinstance(names, str) else names
    labels = [f"{name}(0,{options.flags})" for name in wanted]
    maps = Maps(title, ())
    opened.when_open(
        lambda: maps.chain([opened.open(name, options) for name in wanted], labels),
        [(name, options) for name in wanted],
    )
    return maps
