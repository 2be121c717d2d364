"""Open tables without a configuration: main.cf is empty, nothing is redirected."""

from __future__ import annotations

from collections.abc import Sequence

from postvirt.tables import maps as maps_module
from postvirt.tables.maps import Maps
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.opener import TableOpener
from postvirt.tables.table import Table, TableOptions


def opener(**main_cf: str) -> TableOpener:
    """What opens tables where main.cf has these parameters and no others."""
    return TableOpener(main_cf.get)


def open_table(type_name: str, options: TableOptions) -> Table:
    """An open table."""
    return opener().open(type_name, options)


def open_tables(*, all_must_open: bool = False) -> OpenTables:
    """What holds open tables."""
    return OpenTables(opener(), all_must_open=all_must_open)


def open_maps(
    title: str,
    names: Sequence[str] | str,
    options: TableOptions,
    opened: OpenTables | None = None,
) -> Maps:
    """The open tables of a list."""
    return maps_module.open_maps(title, names, options, opened or open_tables())
