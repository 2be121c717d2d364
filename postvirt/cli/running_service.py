"""The running service that a subcommand is about."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

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


def ask_service(arguments: argparse.Namespace, command: str) -> dict[str, Any] | None:
    """The service's answer; None, with a message, when there is none.

    Raises: ConfigError, OSError.
    """
    from postvirt.config.load import check
    from postvirt.errors import ConfigError
    from postvirt.server.service.control_client import (
        ControlError,
        NotRunningError,
        ask,
        control_path,
    )

    # A broken main.cf is no reason not to stop the service.
    checked = check(
        arguments.config_directory, process_name=_NAME, service_name=arguments.name
    )
    directory = checked.texts("queue_directory")
    if directory is None:
        raise ConfigError(checked.problems[0].text)
    os.chdir(directory)
    try:
        return ask(control_path(arguments.name), command, PATIENCE_SECONDS)
    except NotRunningError:
        print(f"postvirt: the service {arguments.name} is not running", file=sys.stderr)
    except ControlError as error:
        print(f"postvirt: the service {arguments.name}: {error}", file=sys.stderr)
    return None
