"""postvirt install: become what master(8) starts as `virtual`."""

from __future__ import annotations

import argparse

SUMMARY = "put postvirt in the place of Postfix's virtual(8)"
DESCRIPTION = """\
Put postvirt's launcher into daemon_directory under the name `virtual`, so that Postfix
runs it without any change of main.cf or master.cf. The genuine program is kept beside
it as virtual.genuine. If that belongs to a package of dpkg's it is diverted, so that an
upgrade of Postfix neither undoes this nor is hindered by it; elsewhere, repeat this
after an upgrade. All instances that share the daemon_directory are concerned.

The launcher is tried before it is put in place, and at every moment there is a program
that works under the name `virtual`. Processes that run go on until `postfix reload`.
Repeating this does no harm, and `postvirt uninstall` undoes it. Exit status: 0 when it
is in place; 1 when something has to be put right first.
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
    """Install, saying what is done; the exit status."""
    from postvirt.cli.settings_options import load_settings
    from postvirt.installation.drop_in import DropIn, hints, take

    settings = load_settings(arguments)
    place = DropIn(settings.daemon_directory, settings.config_directory)
    if not take(place.install(), dry_run=arguments.dry_run):
        print(f"{place.virtual} is postvirt already")
        return 0
    for hint in hints(place.virtual):
        print(f"note: {hint}")
    if not arguments.dry_run:
        print(f"next: postfix -c {settings.config_directory} reload")
    return 0
