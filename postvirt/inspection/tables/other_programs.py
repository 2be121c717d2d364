"""The same tables in Postfix's other programs.

smtpd(8) looks recipients up in virtual_mailbox_maps before it accepts mail, and
trivial-rewrite(8) looks up their domains. If they cannot open a table they answer "try
again later", though this delivery agent could deliver. Only the delivery agent reads
virtual_uid_maps and virtual_gid_maps.

Parity: `postconf -m`; proxy_read_maps in src/proxymap/proxymap.c.
Raises: nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from postvirt.config.compiled_in import installed_postconf
from postvirt.config.lists import split, words
from postvirt.errors import ConfigError, TableError
from postvirt.inspection.command import Commands
from postvirt.inspection.commands import assign, postmap
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import BERKELEY, Listed, different_tables
from postvirt.system.run_program import output_of
from postvirt.tables.match_list import table_names
from postvirt.tables.table_types import TYPES, load_type

_SHARED = ("virtual_mailbox_maps",)
_PROXIED = ("virtual_mailbox_maps", "virtual_mailbox_domains", "virtual_alias_maps")
_DOMAINS = "virtual_mailbox_domains"
_PATIENCE_SECONDS = 10


def check_types(subject: Subject) -> Iterator[Problem]:
    """Types that the installed Postfix does not support."""
    types = _types_of_postfix(subject)
    if not types:
        return
    for listed in _shared_tables(subject):
        if listed.type in types or listed.type not in TYPES:
            continue
        if listed.type in BERKELEY:
            yield from _without_berkeley_db(subject, listed, types)
            continue
        yield listed.problem(
            subject,
            "PV109",
            f"{listed.table}: the installed Postfix has no {listed.type}: tables",
            remedy=f"install the package with that type (Debian: apt install"
            f" postfix-{listed.type}), or use another type",
        )


def _shared_tables(subject: Subject) -> Iterator[Listed]:
    recipients = different_tables(subject, _SHARED)
    yield from recipients
    domains = subject.settings.virtual_mailbox_domains
    try:
        items = table_names(_DOMAINS, domains)
    except ConfigError:
        return  # trivial-rewrite(8) rejects the list, too
    for item in items:
        listed = Listed(_DOMAINS, item, item)
        if listed.table not in [one.table for one in recipients]:
            yield listed


def _types_of_postfix(subject: Subject) -> frozenset[str]:
    """The types that `postconf -m` prints; none if there is no Postfix."""
    program = installed_postconf(subject.settings.command_directory)
    output = output_of(
        [program, "-c", subject.settings.config_directory, "-m"],
        patience_seconds=_PATIENCE_SECONDS,
    )
    return frozenset(output.decode("ascii", "replace").split())


def _without_berkeley_db(
    subject: Subject, listed: Listed, types: frozenset[str]
) -> Iterator[Problem]:
    settings = subject.settings
    if settings.non_bdb_migration_level.lower() != "disable":
        return  # then Postfix opens another type, as postvirt does
    other = next((one for one in ("lmdb", "cdb") if _is_usable(one, types)), "")
    commands: Commands = ()
    remedy = "install a Postfix that has Berkeley DB, or postfix-lmdb"
    if other:
        new = f"{other}:{listed.name}"
        remedy = f"use {new}: one command makes its index, the other uses it"
        value = _raw_value(subject, listed.parameter)
        if os.path.exists(listed.name) and listed.table in value:
            value = value.replace(listed.table, new)
            commands = postmap(settings, new)
            commands += assign(settings, listed.parameter, value) if commands else ()
    yield listed.problem(
        subject,
        "PV110",
        f"{listed.table}: the installed Postfix has no Berkeley DB and no"
        f" {listed.type}: tables",
        remedy=remedy,
        commands=commands,
    )


def _is_usable(type_: str, types: frozenset[str]) -> bool:
    try:
        load_type(type_)
    except TableError:
        return False
    return type_ in types


def _raw_value(subject: Subject, parameter: str) -> str:
    """The value in main.cf, not expanded; "" if it comes from elsewhere."""
    main_cf = subject.places.main_cf
    if main_cf is None or parameter in subject.places.overridden:
        return ""
    found = main_cf.last_assignment(parameter)
    return found.value if found else ""


def check_proxied(subject: Subject) -> Iterator[Problem]:
    """proxymap(8) opens only the tables that proxy_read_maps lists.

    This delivery agent opens a proxy: table by itself; others ask proxymap(8).
    """
    allowed = _raw_value(subject, "proxy_read_maps")
    if not allowed:
        return  # the default lists all of these
    listed = set(words(subject.text_of("proxy_read_maps")))
    for parameter in _PROXIED:
        for item in split(getattr(subject.settings, parameter)):
            if not item.startswith("proxy:") or item in listed:
                continue
            yield subject.problem(
                "PV112",
                f"{item} is not in proxy_read_maps, so no other program of Postfix"
                " gets an answer from it",
                parameter,
                item=item,
                remedy="list it there (postvirt opens the table without proxymap)",
                commands=assign(
                    subject.settings, "proxy_read_maps", f"{allowed} ${parameter}"
                ),
            )
            break  # the command lists all tables of the parameter
