"""postvirt restart: have the service execute what is installed now."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from postvirt.server.service.control_client import Running

SUMMARY = "start the service again, after an upgrade"
DESCRIPTION = """\
Stop the service, as `postvirt stop` does, and start it as it was started: with the same
configuration directory and options, by systemd if it is a unit's. Mail that arrives
meanwhile waits in the queue. If the configuration cannot be used, the service is not
stopped. With --all, services that were started after the last upgrade are skipped.
Exit status: 0 the service is running; 1 it is not, or could not be restarted, with the
reason.
"""

CANNOT_RUN = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.running_service import add_all_option, add_service_options

    add_service_options(parser)
    add_all_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Restart; the exit status."""
    from postvirt.cli.running_service import ask_service, chosen_services
    from postvirt.server.service.own_services import installed_code

    failed = False
    for running in chosen_services(arguments):
        status = ask_service(running, "status")
        if status is None:
            failed = True
        elif not arguments.all or status["code"] != installed_code():
            failed = not _restart(running, status) or failed
    return CANNOT_RUN if failed else 0


def _restart(running: Running, status: dict[str, Any]) -> bool:
    """Whether it runs again; if not, a message says why."""
    import os
    import subprocess

    from postvirt.cli.running_service import ask_service
    from postvirt.config.excerpt import render
    from postvirt.errors import ConfigError
    from postvirt.server.service.options import Wanted, settings_of
    from postvirt.server.service.own_services import program

    name, started = running.name, status["started"]
    if started["unit"]:
        command = ["systemctl", "restart", started["unit"]]
        return subprocess.run(command, check=False).returncode == 0
    if started["foreground"]:
        print(
            f"postvirt: the service {name} was started by another program (process"
            f" {status['pid']}, --foreground): restart it there",
            file=sys.stderr,
        )
        return False
    directory = os.environ["MAIL_CONFIG"] = status["config_directory"]
    overrides = [(option, value) for option, value in started["overrides"]]
    try:
        settings_of(Wanted(name, started["like"], overrides).options())
    except ConfigError as error:
        print(
            f"postvirt: the service {name} is not restarted: {render(error)}",
            file=sys.stderr,
        )
        return False
    if ask_service(running, "stop") is None:
        return False
    command = [program(), "start", "-c", directory, f"--name={name}"]
    command += [f"--like={started['like']}"] if started["like"] else []
    command += [f"-o{option}={value}" for option, value in overrides]
    return subprocess.run(command, check=False).returncode == 0
