"""postvirt stop: end the service, and wait until it has ended."""

from __future__ import annotations

import argparse

SUMMARY = "stop the service"
DESCRIPTION = """\
Let the service finish the mail that it accepted, and wait until it has ended, for at
most ipc_timeout. Exit status: 0 it has ended; 1 it was not running, or does not end.
"""

CANNOT_RUN = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.running_service import add_all_option, add_service_options

    add_service_options(parser)
    add_all_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Stop; the exit status."""
    from postvirt.cli.running_service import ask_service, chosen_services

    answers = [ask_service(one, "stop") for one in chosen_services(arguments)]
    return CANNOT_RUN if None in answers else 0
