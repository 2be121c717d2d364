"""Files with a database's password that anyone on this machine can read.

Raises: nothing.
"""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator

from postvirt.config.identities import identities
from postvirt.errors import ConfigError
from postvirt.inspection.command import Commands
from postvirt.inspection.commands import keep_from_others
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import (
    DATABASES,
    OWNER_MAPS,
    QUOTA_MAPS,
    Listed,
    different_tables,
    parameter_of,
)
from postvirt.tables.match_list import table_names

_MAPS = (*OWNER_MAPS, *QUOTA_MAPS, "virtual_alias_maps")
_DOMAINS = "virtual_mailbox_domains"
_SECRETS = ("password", "bind_pw")


def check_passwords(subject: Subject) -> Iterator[Problem]:
    """One problem for all files: how-tos rarely forget only one."""
    tables = [*different_tables(subject, _MAPS), *_of_domains(subject)]
    found = {one.name: one for one in tables if _is_open(subject, one)}
    if not found:
        return
    first = next(iter(found.values()))
    yield first.problem(
        subject,
        "PV122",
        f"anyone on this machine can read the password in {', '.join(found)}",
        severity="info",
        remedy=f"allow only root and {subject.settings.mail_owner} to read it",
        commands=_close(subject, list(found)),
    )


def _of_domains(subject: Subject) -> list[Listed]:
    try:
        items = table_names(_DOMAINS, subject.settings.virtual_mailbox_domains)
    except ConfigError:
        return []  # reported as a list that cannot be read
    return [Listed(_DOMAINS, item, item) for item in items]


def _is_open(subject: Subject, listed: Listed) -> bool:
    """Whether others can read a table's file, and there is a password in it."""
    if listed.type not in DATABASES or not listed.name.startswith("/"):
        return False
    if not any(parameter_of(subject, listed, name) for name in _SECRETS):
        return False
    needed = stat.S_IROTH
    path = os.path.realpath(listed.name)
    while path != "/":
        try:
            if not os.stat(path).st_mode & needed:
                return False
        except OSError:
            return False
        path, needed = os.path.dirname(path), stat.S_IXOTH
    return True


def _close(subject: Subject, paths: list[str]) -> Commands:
    try:
        group = grp.getgrgid(identities(subject.settings).owner_gid).gr_name
    except (ConfigError, KeyError):
        return ()
    return keep_from_others(group, paths)
