"""postvirt quota report: how full all mailboxes are."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from postvirt.usage.gauge import Usage

SUMMARY = "show how full all mailboxes are, the fullest first"
DESCRIPTION = """\
Show what the mailboxes of virtual_mailbox_maps hold, and their limits. For example:

    postvirt quota report --above 90

shows those that are more than 90 % full. Addresses with the same mailbox and the same
limit share a line. Tables such as databases cannot be listed; with ADDRESS only those
mailboxes are read, and "-" reads addresses from standard input, one on each line. The
rest is as for `postvirt quota`.

Exit status: 0 there is room in all mailboxes; 1 some are full; 2 some could not be
read, or not all tables could be listed.
"""

HAVE_ROOM = 0
FULL = 1
CANNOT_RUN = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.quota_setup import add_quota_options

    add_quota_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--sort",
        choices=("percent", "use", "address"),
        default="percent",
        help="what comes first: the fullest mailboxes (default), the largest, or the"
        " addresses in their order",
    )
    parser.add_argument(
        "--above",
        type=_percent,
        metavar="PERCENT",
        help="show only mailboxes of which more is used",
    )
    parser.add_argument("addresses", metavar="ADDRESS", nargs="*")


def _percent(word: str) -> float:
    """A percentage."""
    try:
        number = float(word.removesuffix("%"))
    except ValueError:
        number = -1
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"not a percentage: {word!r}")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Read all of them, and print; the exit status."""
    import sys
    from itertools import chain

    from postvirt.cli.progress import show_progress
    from postvirt.cli.quota_setup import (
        all_addresses,
        open_gauge,
        print_json,
        tell_problems,
        wanted_addresses,
    )
    from postvirt.errors import TableError
    from postvirt.model.text import wire
    from postvirt.system import log
    from postvirt.usage.show_usage import summary, table
    from postvirt.usage.survey import Survey

    with show_progress() as progress:
        gauge = open_gauge(arguments)
        if arguments.addresses:
            wanted = wanted_addresses(arguments.addresses)
        else:
            wanted = all_addresses(gauge)
        survey = Survey(gauge, gauge.read, progress)
        usages: list[Usage] = []
        missing = list(wanted.missing)
        try:
            # What a search logs for one address would be logged for all of them.
            with log.diverted(lambda *_: None):
                usages += survey.over(wanted.addresses, wanted.total)
        except TableError as error:
            missing.append(f"not all entries could be read: {error}")
    found = [one for one in usages if _is_above(one, arguments.above)]
    found.sort(key=_ORDERS[arguments.sort])
    if arguments.json:
        shown = found if arguments.above is not None else [*found, *survey.problems]
        print_json(shown)
    else:
        for line in chain(table(found) if found else (), [summary(usages, found)]):
            sys.stdout.buffer.write(wire(line) + b"\n")
        sys.stdout.buffer.flush()
    tell_problems(survey.problems, missing)
    if survey.problems or missing:
        return CANNOT_RUN
    return FULL if any(one.is_full for one in usages) else HAVE_ROOM


def _is_above(usage: Usage, percent: float | None) -> bool:
    if percent is None:
        return True
    return usage.percent is not None and usage.percent > percent


def _by_address(usage: Usage) -> tuple[object, ...]:
    local, _, domain = usage.addresses[0].rpartition(b"@")
    return domain, local


def _by_use(usage: Usage) -> tuple[object, ...]:
    assert usage.answer is not None
    return -usage.answer.use.size_bytes, *_by_address(usage)


def _by_percent(usage: Usage) -> tuple[object, ...]:
    return -1 if usage.percent is None else -usage.percent, *_by_use(usage)


_ORDERS = {"percent": _by_percent, "use": _by_use, "address": _by_address}
