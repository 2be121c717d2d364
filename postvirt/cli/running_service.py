"""The running services that a subcommand is about."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from postvirt.server.service.control_client import Running

# Enough for a reload that waits for slow tables.
PATIENCE_SECONDS = 180.0

_NAME = "postvirt"


def add_service_options(parser: argparse.ArgumentParser) -> None:
    """Add -c and --name."""
    from postvirt.cli.settings_options import add_directory_option

    add_directory_option(parser)
    parser.add_argument(
        "--name",
        default=_NAME,
        help=f"the service that listens on private/NAME (default: {_NAME})",
    )


def add_all_option(parser: argparse.ArgumentParser) -> None:
    """Add --all."""
    parser.add_argument(
        "--all",
        action="store_true",
        help="all services that run from this installation, whatever their names and"
        " configurations",
    )


def chosen_services(arguments: argparse.Namespace) -> list[Running]:
    """Those of --all, else the one that is named, which may not run.

    Raises: ConfigError.
    """
    from postvirt.config.load import check
    from postvirt.errors import ConfigError
    from postvirt.server.service.control_client import Running

    if getattr(arguments, "all", False):
        from postvirt.server.service.own_services import own_services

        return own_services()
    # A broken main.cf is no reason not to stop the service.
    checked = check(
        arguments.config_directory, process_name=_NAME, service_name=arguments.name
    )
    directory = checked.texts("queue_directory")
    if directory is None:
        raise ConfigError(checked.problems[0].text)
    return [Running(directory, arguments.name)]


def ask_service(running: Running, command: str) -> dict[str, Any] | None:
    """The service's answer; None, with a message, when there is none.

    Raises: OSError.
    """
    from postvirt.server.service.control_client import (
        ControlError,
        NotRunningError,
        ask,
        control_path,
    )

    name = running.name
    os.chdir(running.queue_directory)
    try:
        return ask(control_path(name), command, PATIENCE_SECONDS)
    except NotRunningError:
        print(f"postvirt: the service {name} is not running", file=sys.stderr)
    except ControlError as error:
        print(f"postvirt: the service {name}: {error}", file=sys.stderr)
    return None
