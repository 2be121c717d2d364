"""postvirt start: run the service, which listens on its own socket."""

from __future__ import annotations

import argparse
import os

SUMMARY = "start the service"
DESCRIPTION = """\
Start a service that listens on private/NAME in the queue directory, for a main.cf with

    virtual_transport = NAME

The service runs in the background, and the command ends when the service accepts mail.
The -o options of the master.cf entry that --like names apply. master.cf must not
contain an entry NAME. Exit status: 0 the service is running; 1 it could not be started,
with the reason.
"""

CANNOT_RUN = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.running_service import add_service_options
    from postvirt.cli.settings_options import add_overrides_option

    add_service_options(parser)
    add_overrides_option(parser)
    parser.add_argument(
        "--like",
        metavar="ENTRY",
        default="",
        help="use the -o options of this master.cf entry (default: virtual, if any)",
    )
    parser.add_argument(
        "--foreground", action="store_true", help="run in the foreground, for systemd"
    )


def run(arguments: argparse.Namespace) -> int:
    """Start; the exit status."""
    from postvirt.cli.settings_options import overrides_of
    from postvirt.config.config_files import directory_of
    from postvirt.server.service.options import Wanted
    from postvirt.server.service.starter import start

    directory = directory_of(arguments.config_directory)
    os.environ["MAIL_CONFIG"] = os.path.abspath(directory)
    overrides = tuple(overrides_of(arguments))
    return start(
        Wanted(arguments.name, arguments.like, overrides, arguments.foreground)
    )
