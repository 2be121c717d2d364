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
them. Exit status: 0 nothing to report; 1 problems (with --strict also when there are
only warnings); 2 the check could not run.
"""

CLEAN = 0
PROBLEMS = 1
CANNOT_RUN = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.configuration import add_configuration_options

    add_configuration_options(parser)
    parser.add_argument(
        "--strict", action="store_true", help="exit with 1 for warnings, too"
    )
    parser.add_argument("--json", action="store_true", help="everything, as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Check and print; the exit status."""
    from postvirt.cli.configuration import DAEMON, overrides_of
    from postvirt.inspection.inspect import inspect
    from postvirt.inspection.show import as_json, render
    from postvirt.model.text import wire

    problems = inspect(
        arguments.config_directory, overrides_of(arguments), service_name=DAEMON
    )
    count = Counter(problem.severity for problem in problems)
    if arguments.json:
        print(json.dumps([as_json(problem) for problem in problems], indent=4))
    else:
        for problem in problems:
            sys.stdout.buffer.write(wire(render(problem)) + b"\n")
        if problems:
            print(f"{count['error']} errors, {count['warning']} warnings")
    if count["error"] or (count["warning"] and arguments.strict):
        return PROBLEMS
    return CLEAN
