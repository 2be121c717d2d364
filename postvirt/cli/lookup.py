"""postvirt lookup: ask one table, as `postmap -q KEY TYPE:NAME` does."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, NoReturn

SUMMARY = "look up one key in one table"
DESCRIPTION = """\
Look up KEY in TYPE:NAME, for example

    postvirt lookup hash:/etc/postfix/vmailbox user@example.com

and print the value. Exit status: 0 and the value (an empty line for an empty value);
1 when there is no such key; 75 and a message when the table cannot answer. The key is
folded to lower case, as postmap(1) does it. A key that begins with "-" is given after
"--".

    postvirt lookup --types

lists the types of tables, and whether their drivers are installed.
"""

FOUND = 0
NOT_FOUND = 1
CANNOT_RUN = 75  # EX_TEMPFAIL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.settings_options import add_configuration_options

    add_configuration_options(parser)
    parser.add_argument("--types", action=_ListTypes, help="list the types of tables")
    parser.add_argument(
        "-F",
        dest="file_values",
        action="store_true",
        help="values are names of files: print what is in the files",
    )
    parser.add_argument("table", metavar="TYPE:NAME")
    parser.add_argument("key", metavar="KEY")


class _ListTypes(argparse.Action):
    """Prints and exits, as --version does: no table and no key are needed."""

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
    from postvirt.cli.settings_options import load_settings
    from postvirt.errors import TableError
    from postvirt.tables import redirection
    from postvirt.tables.file_value import decoded
    from postvirt.tables.registry import open_table
    from postvirt.tables.table import TableOptions

    # The daemon insists on a place for mailboxes; a lookup has no use for it.
    settings = load_settings(arguments, ("virtual_mailbox_base", "/"))
    redirection.use(settings)
    options = TableOptions(
        utf8=settings.smtputf8_enable,
        fold=True,
        warn_duplicates=True,
        must_open=True,
        file_values=arguments.file_values,
    )
    try:
        table = open_table(arguments.table, options)
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
