"""postvirt quota recalc: count maildirs again."""

from __future__ import annotations

import argparse

SUMMARY = "count what maildirs hold, and write it to their maildirsize files"
DESCRIPTION = """\
Count what the maildir of each ADDRESS, or with --all each maildir of
virtual_mailbox_maps, holds, and write that to its maildirsize. For example:

    postvirt quota recalc user@example.com

That is only needed after another program has changed maildirs without keeping their
maildirsize files: deliveries count by themselves when they find such a file missing or
stale. While a maildir is being counted, mail for it waits; it is deferred after 20
seconds. Other mail does not wait. This command works as the owner of the maildir, like
a delivery, and "-" as ADDRESS reads addresses from standard input, one on each line.

Exit status: 0 all were counted; 1 some were not; 2 the command could not run.
"""

COUNTED = 0
NOT_COUNTED = 1
CANNOT_RUN = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.quota_setup import add_quota_options

    add_quota_options(parser)
    parser.add_argument(
        "--all",
        action="store_true",
        help="count the maildirs of all addresses in tables that can be listed",
    )
    parser.add_argument("addresses", metavar="ADDRESS", nargs="*")


def run(arguments: argparse.Namespace) -> int:
    """Count and print; the exit status."""
    import sys

    from postvirt.cli.progress import show_progress
    from postvirt.cli.quota_setup import (
        all_addresses,
        open_gauge,
        tell_problems,
        wanted_addresses,
    )
    from postvirt.errors import ConfigError, TableError
    from postvirt.model.text import wire
    from postvirt.usage.show_usage import recounted
    from postvirt.usage.survey import Survey

    if arguments.all == bool(arguments.addresses):
        raise ConfigError("recalc needs addresses, or --all")
    with show_progress() as progress:
        gauge = open_gauge(arguments)
        if arguments.all:
            wanted = all_addresses(gauge)
        else:
            wanted = wanted_addresses(arguments.addresses)
        survey = Survey(gauge, gauge.recount, progress)
        is_kept = gauge.rules.keeps_size_file and gauge.has_quotas
        missing = list(wanted.missing)
        try:
            for usage in survey.over(wanted.addresses, wanted.total):
                line = recounted(usage, is_kept=is_kept)
                progress("", 0, 0)
                sys.stdout.buffer.write(wire(line) + b"\n")
                sys.stdout.buffer.flush()
        except TableError as error:
            missing.append(f"not all entries could be read: {error}")
    tell_problems(survey.problems, missing)
    return NOT_COUNTED if survey.problems or missing else COUNTED
