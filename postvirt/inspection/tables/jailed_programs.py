"""Databases that other programs of Postfix cannot reach from their chroot jail.

Debian's master.cf has smtpd(8), cleanup(8) and trivial-rewrite(8) in a chroot jail.
They connect when they look up, and a server's socket is outside of the jail.
proxymap(8) connects for them where a table is named proxy:TYPE:NAME.

Parity: `connect` in src/global/dict_mysql.c and dict_pgsql.c, after chroot_uid().
Raises: nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from postvirt.config.lists import split, words
from postvirt.inspection.command import Commands
from postvirt.inspection.commands import assign
from postvirt.inspection.problem import Problem
from postvirt.inspection.services.jail import is_jailed
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import Listed, parameter_of

# Who looks up what, before a message reaches the delivery agent.
_READERS = {
    "virtual_mailbox_maps": ("smtpd",),
    "virtual_alias_maps": ("smtpd", "cleanup"),
    "virtual_mailbox_domains": ("trivial-rewrite",),
}
# What libmysqlclient and libpq add to a host.
_MYSQL_SOCKET = "/run/mysqld/mysqld.sock"
_PGSQL_SOCKET = "/.s.PGSQL.5432"
# The place before an item of a list that proxymap(8) could open.
_DIRECT = re.compile(r"(?<![^\s,])(?=(?:mysql|pgsql):)")


def check_jailed_programs(subject: Subject) -> Iterator[Problem]:
    """The tables that are asked without proxymap(8)."""
    services = subject.master_cf.services if subject.master_cf else ()
    jailed = {one.program for one in services if is_jailed(subject.settings, one)}
    for parameter, programs in _READERS.items():
        readers = [program for program in programs if program in jailed]
        if not readers:
            continue
        for item in split(getattr(subject.settings, parameter)):
            socket = _only_socket(subject, Listed(parameter, item, item))
            place = f"{subject.settings.queue_directory}{socket}"
            if not socket or os.path.exists(place):
                continue
            yield subject.problem(
                "PV121",
                f"{item}: {' and '.join(readers)} in a chroot jail would find the"
                f" server's socket at {place}, which does not exist",
                parameter,
                item=item,
                remedy=f"write proxy:{item}, or name the server by its address, such as"
                " 127.0.0.1",
                commands=_with_proxy(subject, parameter),
            )
            break  # the command changes all tables of the parameter


def _only_socket(subject: Subject, table: Listed) -> str:
    """A socket of a table's servers, "" if one of them is reached by an address."""
    hosts = words(parameter_of(subject, table, "hosts")) or ("localhost",)
    if table.spec.startswith("mysql:") and not parameter_of(
        subject, table, "option_file"
    ):
        sockets = [_mysql_socket(host) for host in hosts]
    elif table.spec.startswith("pgsql:"):
        sockets = [_pgsql_socket(host) for host in hosts]
    else:
        return ""
    return sockets[0] if all(sockets) else ""


def _mysql_socket(host: str) -> str:
    if host.startswith("unix:"):
        return host.removeprefix("unix:")
    name = host.removeprefix("inet:").partition(":")[0]
    return _MYSQL_SOCKET if name.lower() == "localhost" else ""


def _pgsql_socket(host: str) -> str:
    path = host.removeprefix("unix:")
    return path + _PGSQL_SOCKET if path.startswith("/") else ""


def _with_proxy(subject: Subject, parameter: str) -> Commands:
    """Have all tables of a parameter asked by proxymap(8), if main.cf names them."""
    main_cf = subject.places.main_cf
    assignment = main_cf.last_assignment(parameter) if main_cf else None
    if assignment is None or parameter in subject.places.overridden:
        return ()
    return assign(subject.settings, parameter, _DIRECT.sub("proxy:", assignment.value))
