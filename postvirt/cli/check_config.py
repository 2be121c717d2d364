"""postvirt check-config: find mistakes before the first message does."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter

SUMMARY = "check the configuration and report every problem"
DESCRIPTION = """\
Read main.cf as the daemon does, open every table as the daemon does, and report every
problem with its file and line, and how to mend it: lines that begin with "#" are
commands for root. As root the tables are opened as mail_owner, as the daemon opens
them, and the way to each mailbox is tried as its owner. Exit status: 0 nothing to
report; 1 problems (with --strict also when there are only warnings); 2 the check could
not run.
"""

CLEAN = 0
PROBLEMS = 1
CANNOT_RUN = 2

_DOVECOT = "/etc/dovecot/dovecot.conf"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.settings_options import add_configuration_options

    add_configuration_options(parser)
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 for warnings, too"
    )
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    parser.add_argument(
        "--info", action="store_true", help="show what is no problem but good to know"
    )
    parser.add_argument(
        "--sample",
        type=_count,
        default=0,
        metavar="N",
        help="look at N entries only, spread over the mailbox tables",
    )
    parser.add_argument(
        "--dovecot",
        metavar="FILE",
        default=_DOVECOT,
        help=f"Dovecot's configuration, to compare mbox locks with ({_DOVECOT})",
    )


def _count(word: str) -> int:
    """A number of entries; ValueError for anything else."""
    number = int(word)
    if number < 1:
        raise ValueError
    return number


def run(arguments: argparse.Namespace) -> int:
    """Check and print; the exit status."""
    from postvirt.cli.progress import show_progress
    from postvirt.cli.settings_options import DAEMON, overrides_of
    from postvirt.inspection.run import inspect
    from postvirt.inspection.show import as_json, render
    from postvirt.inspection.subject import Extent
    from postvirt.model.text import wire

    with show_progress() as progress:
        problems = inspect(
            arguments.config_directory,
            overrides_of(arguments),
            service_name=DAEMON,
            extent=Extent(arguments.sample, arguments.dovecot, progress),
        )
    count = Counter(problem.severity for problem in problems)
    if arguments.json:
        print(json.dumps([as_json(problem) for problem in problems], indent=4))
    else:
        for problem in problems:
            if problem.severity != "info" or arguments.info:
                sys.stdout.buffer.write(wire(render(problem)) + b"\n")
        if count["error"] or count["warning"]:
            print(f"{count['error']} errors, {count['warning']} warnings")
    if count["error"] or (count["warning"] and arguments.strict):
        return PROBLEMS
    return CLEAN
