"""postvirt start: run the service, which listens on a socket of its own."""

from __future__ import annotations

import argparse
import os

SUMMARY = "start the service"
DESCRIPTION = """\
Start a service that listens on private/NAME in the queue directory, for a main.cf with

    virtual_transport = NAME

It runs in the background, and the command ends when mail is accepted. The -o options of
the entry in master.cf that --like names apply. master(8) must not have a service NAME.
Exit status: 0 it runs; 1 it does not, with the reason.
"""

CANNOT_RUN = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.running_service import add_service_options

    add_service_options(parser)
    parser.add_argument(
        "-o",
        dest="overrides",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="use this value in place of main.cf's; may be repeated",
    )
    parser.add_argument(
        "--like",
        metavar="ENTRY",
        default="",
        help="the service in master.cf whose options apply (default: virtual, if any)",
    )
    parser.add_argument(
        "--foreground", action="store_true", help="stay, as systemd wants it"
    )


def run(arguments: argparse.Namespace) -> int:
    """Start; the exit status."""
    from postvirt.cli.settings_options import overrides_of
    from postvirt.config.load import directory_of
    from postvirt.server.service.options import Wanted
    from postvirt.server.service.starter import start

    directory = directory_of(arguments.config_directory)
    os.environ["MAIL_CONFIG"] = os.path.abspath(directory)
    wanted = Wanted(arguments.name, arguments.like, tuple(overrides_of(arguments)))
    return start(wanted, foreground=arguments.foreground)
