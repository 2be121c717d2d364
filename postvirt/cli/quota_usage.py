"""postvirt quota: how full mailboxes are."""

from __future__ import annotations

import argparse

SUMMARY = "show how full mailboxes are"
DESCRIPTION = """\
Show for the mailbox of each ADDRESS what it holds, and its limit. For example:

    postvirt quota user@example.com

What a maildir holds is read from maildirsize, or counted where a delivery would not
believe that file; nothing is changed. An mbox file holds as many bytes as it has. When
run as root, this command opens tables as mail_owner, like the daemon, and reads each
mailbox as its owner; other users can read only their own mailboxes. "-" as ADDRESS
reads addresses from standard input, one on each line.

All mailboxes are shown by `postvirt quota report`; `postvirt quota recalc` counts
maildirs again.

Exit status: 0 there is room in all mailboxes; 1 some are full; 2 some could not be
read.
"""

HAVE_ROOM = 0
FULL = 1
CANNOT_RUN = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.quota_setup import add_quota_options

    add_quota_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("addresses", metavar="ADDRESS", nargs="+")


def run(arguments: argparse.Namespace) -> int:
    """Read and print; the exit status."""
    import sys

    from postvirt.cli.progress import show_progress
    from postvirt.cli.quota_setup import open_gauge, print_json, wanted_addresses
    from postvirt.model.text import wire
    from postvirt.usage.show_usage import detailed
    from postvirt.usage.survey import Survey

    with show_progress() as progress:
        gauge = open_gauge(arguments)
        survey = Survey(gauge, gauge.read, progress)
        wanted = wanted_addresses(arguments.addresses)
        usages = [*survey.over(wanted.addresses, wanted.total), *survey.problems]
    if arguments.json:
        print_json(usages)
    else:
        for usage in usages:
            for line in detailed(usage):
                sys.stdout.buffer.write(wire(line) + b"\n")
    if survey.problems:
        return CANNOT_RUN
    return FULL if any(one.is_full for one in usages) else HAVE_ROOM
