"""postvirt lookup: query one table, as `postmap -q KEY TYPE:NAME` does."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, NoReturn

SUMMARY = "query one lookup table"
DESCRIPTION = """\
Look up KEY in TYPE:NAME, for example

    postvirt lookup hash:/etc/postfix/vmailbox user@example.com

and print the value. Exit status: 0 and the value (an empty line for an empty value);
1 if the key is not found; 75 and a message if the lookup fails. The key is folded to
lower case, as with postmap(1). Put "--" before a key that begins with "-".

    postvirt lookup --types

lists the table types, and whether their drivers are installed.
"""

FOUND = 0
NOT_FOUND = 1
CANNOT_RUN = 75  # EX_TEMPFAIL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.settings_options import add_configuration_options

    add_configuration_options(parser)
    parser.add_argument("--types", action=_ListTypes, help="list the table types")
    parser.add_argument(
        "-F",
        dest="file_values",
        action="store_true",
        help="treat values as file names, and print the contents of the files",
    )
    parser.add_argument("table", metavar="TYPE:NAME")
    parser.add_argument("key", metavar="KEY")


class _ListTypes(argparse.Action):
    """Prints and exits, as --version does, without a table or a key."""

    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from postvirt.tables.catalogue import catalogue

        for entry in catalogue():
            print(f"{entry.type:<10} {entry.state:<10} {entry.summary}")
            if entry.remedy:
                print(f"{'':<21} to install it: {entry.remedy}")
        parser.exit(FOUND)


def run(arguments: argparse.Namespace) -> int:
    """Look up; the exit status."""
    from postvirt.cli.settings_options import load_without_delivery
    from postvirt.errors import TableError
    from postvirt.tables.file_value import decoded
    from postvirt.tables.opener import TableOpener
    from postvirt.tables.table import TableOptions

    loaded = load_without_delivery(arguments)
    options = TableOptions(
        utf8=loaded.settings.smtputf8_enable,
        fold=True,
        warn_duplicates=True,
        must_open=True,
        file_values=arguments.file_values,
    )
    try:
        tables = TableOpener.of(loaded.settings, loaded.texts)
        table = tables.open(arguments.table, options)
        value = table.lookup(os.fsencode(arguments.key))
        table.close()
        if value is not None and arguments.file_values:
            value = decoded(value)
    except (TableError, ValueError) as error:
        print(f"postvirt: {error}", file=sys.stderr)
        return CANNOT_RUN
    if value is None:
        return NOT_FOUND
    sys.stdout.buffer.write(value + b"\n")
    return FOUND
