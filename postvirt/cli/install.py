"""postvirt install: become what master(8) starts as `virtual`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from postvirt.config.parameters import Settings

SUMMARY = "replace Postfix's virtual(8) by postvirt"
DESCRIPTION = """\
Install postvirt's launcher in daemon_directory under the name `virtual`, so that
Postfix runs it without changes to main.cf or master.cf. The genuine program is kept
beside it as virtual.genuine. If a dpkg package owns that program, it is diverted, so
that Postfix upgrades neither undo nor break the installation; elsewhere, run this again
after each upgrade. This affects all Postfix instances that share the daemon_directory,
and they are named.

The launcher is tried before it is put in place, and a working program has the name
`virtual` at every moment. Running processes continue until `postfix reload`. This can
be repeated safely, and `postvirt uninstall` undoes it. Nothing is done where users
other than root could replace or change the program, because it runs as root.

Exit status: 0 when the launcher is in place; 1 when something must be corrected first.
"""

CANNOT_RUN = 1

_QUOTAS = (
    "main.cf limits mailboxes; virtual(8) ignores that, unless it has the VDA patch:"
    " `postvirt quota report --above 95` shows which are full, or almost"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.settings_options import add_configuration_options

    add_configuration_options(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="only print what would be done"
    )


def run(arguments: argparse.Namespace) -> int:
    """Install and report each step; the exit status."""
    from pathlib import Path

    from postvirt.cli.settings_options import load_without_delivery
    from postvirt.config.quota_settings import quotas_are_on
    from postvirt.installation.drop_in import DropIn, carry_out
    from postvirt.installation.hints import hints
    from postvirt.installation.quota_lines import quota_lines
    from postvirt.model.text import shown

    settings = load_without_delivery(arguments).settings
    place = DropIn(settings.daemon_directory, settings.config_directory)
    if not carry_out(place.install(), dry_run=arguments.dry_run):
        print(f"{place.virtual} is already postvirt")
        return 0
    for hint in hints(place.virtual, Path(settings.config_directory, "main.cf")):
        print(shown(f"note: {hint}"))
    if quotas_are_on(settings):
        print(f"note: {_QUOTAS}")
    for line in quota_lines(settings):
        print(shown(line))
    say_what_is_next(settings, dry_run=arguments.dry_run)
    return 0


def say_what_is_next(settings: Settings, *, dry_run: bool) -> None:
    """Print which instances have another program now, and how to have them run it."""
    from postvirt.inspection.commands import reload_postfix
    from postvirt.installation.instances import instances_with
    from postvirt.model.text import shown

    instances = instances_with(settings)
    if len(instances) > 1:
        names = ", ".join([one.config_directory for one in instances])
        print(shown(f"note: this is the program of several Postfix instances: {names}"))
    if not dry_run:
        for one in instances:
            print("next:", *(reload_postfix(one) or ("reload Postfix",)))
