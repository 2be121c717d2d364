"""What the commands for quotas have in common: their options, and how they begin.

Raises: ConfigError.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from postvirt.usage.gauge import Gauge, Usage

# What all three return when something could not be found out.
CANNOT_TELL = 2

_STANDARD_INPUT = "-"
_MOST_PROBLEMS = 20


def add_quota_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which configuration is used."""
    from postvirt.cli.settings_options import add_configuration_options

    add_configuration_options(parser)
    parser.add_argument(
        "--service",
        metavar="NAME",
        default="",
        help="the service in master.cf (default: the one of virtual_transport)",
    )


def open_gauge(arguments: argparse.Namespace) -> Gauge:
    """Read the configuration, become mail_owner, and open the tables.

    Raises: ConfigError.
    """
    from postvirt.cli.settings_options import overrides_of
    from postvirt.delivery.settling import settle_as_mail_owner
    from postvirt.delivery.table_setup import prepare
    from postvirt.explain.delivery_service import delivery_service
    from postvirt.system import log
    from postvirt.tables.open_tables import OpenTables
    from postvirt.tables.opener import TableOpener
    from postvirt.usage import listed_addresses, show_usage, survey  # noqa: F401
    from postvirt.usage.gauge import Gauge

    process = delivery_service(
        arguments.config_directory, overrides_of(arguments), arguments.service
    )
    settings = process.loaded.settings
    log.start(log.to_stderr("postvirt"), utf8=settings.smtputf8_enable)
    for warning in (*process.loaded.warnings, *filter(None, [process.remark])):
        log.warning(warning)
    tables = TableOpener.of(settings, process.loaded.texts)
    prepare(settings, tables)
    settle_as_mail_owner(settings, process.chroot)
    opened = OpenTables(tables, all_must_open=settings.daemon_table_open_error_is_fatal)
    return Gauge(settings, opened)


class Wanted(NamedTuple):
    """The addresses of mailboxes, about how many there are, and what is missing."""

    addresses: Iterable[bytes]
    total: int
    missing: Sequence[str] = ()


def wanted_addresses(words: Sequence[str]) -> Wanted:
    """The addresses on the command line; "-" is replaced by standard input."""
    if _STANDARD_INPUT not in words:
        return Wanted([os.fsencode(word) for word in words], len(words))
    return Wanted(_with_input(words), 0)


def _with_input(words: Sequence[str]) -> Iterator[bytes]:
    for word in words:
        if word != _STANDARD_INPUT:
            yield os.fsencode(word)
            continue
        for line in sys.stdin.buffer:
            if line.strip():
                yield line.strip()


def all_addresses(gauge: Gauge) -> Wanted:
    """The addresses of all tables that can be listed."""
    from postvirt.tables.unavailable import Unavailable
    from postvirt.usage.listed_addresses import Listing

    listing = Listing(gauge.resolver)
    missing = [
        f"{table.title} cannot be opened"
        if isinstance(table, Unavailable)
        else f"{table.title} cannot be listed: give the addresses as arguments, or one"
        ' on each line of standard input, with "-"'
        for table in listing.unlisted
    ]
    return Wanted(listing, listing.total, missing)


def print_json(usages: Iterable[Usage]) -> None:
    """Print a list, which may be long, object by object."""
    import json
    from textwrap import indent

    from postvirt.usage.show_usage import as_json

    before = "["
    for usage in usages:
        shown = indent(json.dumps(as_json(usage), indent=4), "    ")
        print(f"{before}\n{shown}", end="")
        before = ","
    print("[]" if before == "[" else "\n]")


def tell_problems(problems: Sequence[Usage], missing: Sequence[str] = ()) -> None:
    """Say on standard error what is not known."""
    from postvirt.model.text import shown, text

    for line in missing:
        print(f"postvirt: {line}", file=sys.stderr)
    for usage in problems[:_MOST_PROBLEMS]:
        address = shown(text(usage.addresses[0]))
        print(f"postvirt: {address}: {shown(usage.problem)}", file=sys.stderr)
    more = len(problems) - _MOST_PROBLEMS
    if more > 0:
        print(f"postvirt: {more} more mailboxes cannot be read", file=sys.stderr)
