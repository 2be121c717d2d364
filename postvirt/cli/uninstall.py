"""postvirt uninstall: restore the genuine virtual(8)."""

from __future__ import annotations

import argparse

SUMMARY = "undo `postvirt install`"
DESCRIPTION = """\
Restore the genuine program, kept as virtual.genuine, in daemon_directory, and remove
the diversion if there is one. A working program has the name `virtual` at every moment.
Running processes continue until `postfix reload`. Mailboxes, tables, the queue and
postvirt itself are not changed. This can be repeated safely. A kept program that users
other than root can change is not restored. Exit status: 0 when the genuine program is
in place; 1 when something must be corrected first.
"""

CANNOT_RUN = 1

_QUOTAS = (
    "main.cf limits mailboxes; virtual(8) ignores that, unless it has the VDA patch:"
    " from the reload on, they have no limits"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this subcommand's arguments."""
    from postvirt.cli.settings_options import add_configuration_options

    add_configuration_options(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="only print what would be done"
    )


def run(arguments: argparse.Namespace) -> int:
    """Uninstall and report each step; the exit status."""
    from postvirt.cli.install import say_what_is_next
    from postvirt.cli.settings_options import load_without_delivery
    from postvirt.config.quota_settings import quotas_are_on
    from postvirt.installation.drop_in import DropIn, carry_out

    settings = load_without_delivery(arguments).settings
    place = DropIn(settings.daemon_directory, settings.config_directory)
    if not carry_out(place.uninstall(), dry_run=arguments.dry_run):
        print(f"{place.virtual} is already Postfix's own")
        return 0
    if quotas_are_on(settings):
        print(f"note: {_QUOTAS}")
    say_what_is_next(settings, dry_run=arguments.dry_run)
    return 0
