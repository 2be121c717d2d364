"""postvirt uninstall: bring the genuine virtual(8) back."""

from __future__ import annotations

import argparse

SUMMARY = "undo `postvirt install`"
DESCRIPTION = """\
Put the genuine program, kept as virtual.genuine, back in its place in daemon_directory,
and end the diversion if there is one. At every moment there is a program that works
under the name `virtual`. Processes that run go on until `postfix reload`. Mailboxes,
tables and queue stay as they are, and so does postvirt itself. Repeating this does no
harm. Exit status: 0 when the genuine program is in place; 1 when something has to be
put right first.
"""

CANNOT_RUN = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.settings_options import add_configuration_options

    add_configuration_options(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would be done"
    )


def run(arguments: argparse.Namespace) -> int:
    """Uninstall, saying what is done; the exit status."""
    from postvirt.cli.settings_options import load_settings
    from postvirt.installation.drop_in import DropIn, take

    settings = load_settings(arguments)
    place = DropIn(settings.daemon_directory, settings.config_directory)
    if not take(place.uninstall(), dry_run=arguments.dry_run):
        print(f"{place.virtual} is Postfix's own already")
        return 0
    if not arguments.dry_run:
        print(f"next: postfix -c {settings.config_directory} reload")
    return 0
