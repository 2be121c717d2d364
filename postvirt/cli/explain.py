"""postvirt explain: what would happen to mail for an address, and why."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from postvirt.explain.explainer import Explanation

SUMMARY = "show what would happen to mail for an address, and why"
DESCRIPTION = """\
Show for each ADDRESS whether mail would be delivered, to which mailbox and as which
user, and if not, what the sender would be told. For example:

    postvirt explain user@example.com

It shows how Postfix routes the mail, each lookup, the mailbox and its owner, and checks
access, locks, quota and free space as the owner. Lines with "!" show what prevents the
delivery of a message of the given size.
If virtual_alias_maps replaces the address, what it becomes is explained as well.
Nothing is delivered, created or locked. When run as root, this command opens tables as
mail_owner, like the daemon; other users can check only their own mailboxes.

The settings are those of the service that virtual_transport names, with its -o options
in master.cf. Give ADDRESS unquoted, as in a table.

Exit status: 0 mail for every ADDRESS would be delivered; 1 some would be deferred or
bounce; 2 the command could not find out.
"""

DELIVERED = 0
NOT_DELIVERED = 1
CANNOT_RUN = 2

# A small message.
_SIZE_BYTES = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.settings_options import add_configuration_options

    add_configuration_options(parser)
    parser.add_argument(
        "--service",
        metavar="NAME",
        default="",
        help="the service in master.cf (default: the one of virtual_transport)",
    )
    parser.add_argument(
        "--size",
        metavar="BYTES",
        type=_size,
        default=_SIZE_BYTES,
        help=f"size of the message (default: {_SIZE_BYTES})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("addresses", metavar="ADDRESS", nargs="+")


def _size(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise argparse.ArgumentTypeError(f"{value} is not a number of bytes")
    return int(value)


def run(arguments: argparse.Namespace) -> int:
    """Explain and print; the exit status."""
    import json

    from postvirt.cli.settings_options import overrides_of
    from postvirt.delivery.settling import settle_as_mail_owner
    from postvirt.delivery.table_setup import prepare
    from postvirt.explain.delivery_service import delivery_service
    from postvirt.explain.explainer import Explainer
    from postvirt.explain.routing_remarks import tables_of_remarks
    from postvirt.explain.show import as_json
    from postvirt.system import log
    from postvirt.tables.opener import TableOpener

    process = delivery_service(
        arguments.config_directory, overrides_of(arguments), arguments.service
    )
    settings = process.loaded.settings
    log.start(log.to_stderr("postvirt"), utf8=settings.smtputf8_enable)
    for warning in (*process.loaded.warnings, *filter(None, [process.remark])):
        log.warning(warning)
    show = _printer()  # may import, which mail_owner may not be able to
    tables = TableOpener.of(settings, process.loaded.texts)
    prepare(settings, tables)
    tables.prepare(tables_of_remarks(settings, process.loaded.texts))
    settle_as_mail_owner(settings, process.chroot)
    explainer = Explainer(
        settings, process.loaded.texts, tables, process.service, arguments.size
    )
    explanations = []
    for address in arguments.addresses:
        for explanation in explainer.explain(os.fsencode(address)):
            explanations.append(explanation)
            if not arguments.json:
                show(explanation)
    if arguments.json:
        print(json.dumps([as_json(one) for one in explanations], indent=4))
    verdicts = {explanation.verdict for explanation in explanations} - {"rewritten"}
    if "unknown" in verdicts:
        return CANNOT_RUN
    return DELIVERED if verdicts <= {"delivered"} else NOT_DELIVERED


def _printer() -> Callable[[Explanation], None]:
    """Prints an explanation: with rich on a terminal, where it is installed."""
    if sys.stdout.isatty():
        try:
            return _on_terminal()
        except ImportError:
            pass
    return _print_plain


def _print_plain(explanation: Explanation) -> None:
    from postvirt.explain.show import plain
    from postvirt.model.text import wire

    sys.stdout.buffer.write(wire(plain(explanation)) + b"\n")
    sys.stdout.buffer.flush()


def _on_terminal() -> Callable[[Explanation], None]:
    from io import StringIO

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from postvirt.explain.show import headline, sections

    console = Console(highlight=False)
    # What rich imports only when it is used.
    first = Table.grid()
    first.add_row(Text("\N{DOUBLE DAGGER}", "red"))
    Console(file=StringIO(), force_terminal=True, width=80).print(first)
    styles = {"good": "bold green", "bad": "bold red", "plain": ""}

    def show(explanation: Explanation) -> None:
        line, mood = headline(explanation)
        console.print(Text(line, styles[mood]))
        for section in sections(explanation):
            if not section.rows:
                continue
            console.print(Text(f"  {section.title}", "bold"))
            table = Table.grid(padding=(0, 2))
            table.add_column(width=3)
            for row, row_mood in zip(section.rows, section.moods, strict=True):
                mark = Text("  !" if row_mood == "bad" else "", styles["bad"])
                table.add_row(mark, *(Text(cell, styles[row_mood]) for cell in row))
            console.print(table)

    return show
