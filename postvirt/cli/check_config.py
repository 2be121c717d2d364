"""postvirt check-config: find mistakes before the first message does."""

from __future__ import annotations

import argparse
import sys

SUMMARY = "check the configuration and report every problem"
DESCRIPTION = """\
Read main.cf as the daemon does, open every table as the daemon does, and report every
problem with its file and line, and how to mend it. As root the tables are opened as
mail_owner, as the daemon opens them. Exit status: 0 nothing to report; 1 problems (with
--strict also when there are only warnings); 2 the check could not run.
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


def run(arguments: argparse.Namespace) -> int:
    """Check and print; the exit status."""
    from postvirt.cli.configuration import DAEMON, overrides_of
    from postvirt.config.show import render
    from postvirt.model.text import wire
    from postvirt.server.inspection import inspect

    problems = inspect(
        arguments.config_directory, overrides_of(arguments), service_name=DAEMON
    )
    for problem in problems:
        sys.stdout.buffer.write(wire(render(problem)) + b"\n")
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    if problems:
        print(f"{errors} errors, {warnings} warnings")
    if errors or (warnings and arguments.strict):
        return PROBLEMS
    return CLEAN
