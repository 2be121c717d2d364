"""postvirt check-config: find mistakes before the first message does."""

from __future__ import annotations

import argparse
import sys

SUMMARY = "check the configuration and report every problem"
DESCRIPTION = """\
Read main.cf and open every table as the daemon does, and report every problem with its
file and line, after the domains whose mail is delivered. If no mail is routed to the
delivery agent, the report says so, and what only matters to that mail is a note. "why:"
says why a problem matters (once for each code), "fix:" how to fix it, and each "run:"
line is a command for root. When run as root, this command opens tables as mail_owner,
like the daemon, and checks access to each mailbox as its owner.
Exit status: 0 no errors; 1 errors (with --strict also when there are only warnings); 2
the check could not run.
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
        "--strict", action="store_true", help="exit with status 1 for warnings as well"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--info", action="store_true", help="also show notes")
    parser.add_argument(
        "--sample",
        type=_count,
        default=0,
        metavar="N",
        help="check only N entries, sampled evenly from the mailbox tables",
    )
    parser.add_argument(
        "--dovecot",
        metavar="FILE",
        default=_DOVECOT,
        help=f"Dovecot configuration to compare mbox locks with (default: {_DOVECOT})",
    )


def _count(word: str) -> int:
    """A number of entries; ValueError for anything else."""
    number = int(word)
    if number < 1:
        raise ValueError
    return number


def run(arguments: argparse.Namespace) -> int:
    """Check and print; the exit status."""
    import json

    from postvirt.cli.progress import show_progress
    from postvirt.cli.settings_options import DAEMON, overrides_of
    from postvirt.inspection.run import inspect
    from postvirt.inspection.show import as_json, render_all, summary
    from postvirt.inspection.subject import Extent
    from postvirt.inspection.without_mail import worth_showing
    from postvirt.model.text import wire

    with show_progress() as progress:
        problems = inspect(
            arguments.config_directory,
            overrides_of(arguments),
            service_name=DAEMON,
            extent=Extent(arguments.sample, arguments.dovecot, progress),
        )
    shown = problems if arguments.info else worth_showing(problems)
    severities = {one.severity for one in problems}
    if arguments.json:
        print(json.dumps([as_json(problem) for problem in problems], indent=4))
    else:
        for lines in (*render_all(shown), summary(problems)):
            if lines:
                sys.stdout.buffer.write(wire(lines) + b"\n")
    if "error" in severities or ("warning" in severities and arguments.strict):
        return PROBLEMS
    return CLEAN
