"""postvirt reload: make the service use its changed configuration."""

from __future__ import annotations

import argparse
import sys

SUMMARY = "make the service use the changed configuration"
DESCRIPTION = """\
The service checks the new configuration as `postvirt check-config` does. If there is an
error, the old configuration stays in force. Otherwise new workers take over, and the
old ones finish the mail that they accepted. They execute what the service was started
with: after an upgrade, use `postvirt restart`. Exit status: 0 the new configuration is
in force; 1 it is not, with the reason.
"""

CANNOT_RUN = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.running_service import add_service_options

    add_service_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Reload; the exit status."""
    from postvirt.cli.running_service import ask_service, chosen_services
    from postvirt.model.text import wire

    (running,) = chosen_services(arguments)
    answer = ask_service(running, "reload")
    if answer is None:
        return CANNOT_RUN
    for problem in (*answer["problems"], *answer.get("warnings", ())):
        sys.stderr.buffer.write(wire(problem) + b"\n")
    return CANNOT_RUN if answer["problems"] else 0
