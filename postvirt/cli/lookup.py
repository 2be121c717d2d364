"""postvirt lookup: ask one table, as `postmap -q KEY TYPE:NAME` does."""

from __future__ import annotations

import argparse
import os
import sys

SUMMARY = "look up one key in one table"
DESCRIPTION = """\
Look up KEY in TYPE:NAME, for example

    postvirt lookup hash:/etc/postfix/vmailbox user@example.com

and print the value. Exit status: 0 and the value (an empty line for an empty value);
1 when there is no such key; 75 and a message when the table cannot answer. The key is
folded to lower case, as postmap(1) does it. A key that begins with "-" is given after
"--".
"""

FOUND = 0
NOT_FOUND = 1
CANNOT_RUN = 75  # EX_TEMPFAIL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.configuration import add_configuration_options

    add_configuration_options(parser)
    parser.add_argument("table", metavar="TYPE:NAME")
    parser.add_argument("key", metavar="KEY")


def run(arguments: argparse.Namespace) -> int:
    """Look up; the exit status."""
    from postvirt.cli.configuration import load_settings
    from postvirt.errors import TableError
    from postvirt.tables.registry import open_table
    from postvirt.tables.table import TableOptions

    # The daemon insists on a place for mailboxes; a lookup has no use for it.
    settings = load_settings(arguments, ("virtual_mailbox_base", "/"))
    options = TableOptions(
        utf8=settings.smtputf8_enable, fold=True, warn_duplicates=True
    )
    table = open_table(arguments.table, options)
    try:
        value = table.lookup(os.fsencode(arguments.key))
    except TableError as error:
        print(f"postvirt: {error}", file=sys.stderr)
        return CANNOT_RUN
    finally:
        table.close()
    if value is None:
        return NOT_FOUND
    sys.stdout.buffer.write(value + b"\n")
    return FOUND
