"""Whether workers can read the Kerberos credentials that ldap: tables log in with.

Source: krb5.conf(5), default_ccache_name, include; master(8), import_environment.
Raises: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from postvirt.config.lists import split
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import (
    Listed,
    different_tables,
    parameter_of,
)

KRB5_CONF = Path("/etc/krb5.conf")
_VARIABLE = "KRB5CCNAME"
_LINE = re.compile(r"\s*(?:(include|includedir)\s+|default_ccache_name\s*=\s*)(\S+)\s*")
_MOST_DEPTH = 10


def check_kerberos(subject: Subject) -> Iterator[Problem]:
    """Caches in the kernel, which refuses workers all calls about keys."""
    tables = [one for one in different_tables(subject) if _logs_in(subject, one)]
    if not tables:
        return
    cache, where = _cache(subject)
    if not cache.upper().startswith("KEYRING:"):
        return
    for listed in tables:
        yield listed.problem(
            subject,
            "PV118",
            f"{listed.table} logs in with Kerberos, but {where} is {cache}",
            severity="warning",
            remedy=f"add {_VARIABLE}=FILE:/PATH or {_VARIABLE}=DIR:/PATH to"
            " import_environment, and have the program that renews the credentials"
            " write them there as mail_owner",
        )


def _logs_in(subject: Subject, listed: Listed) -> bool:
    """Whether a table uses Kerberos; without a password it is the usual way."""
    if listed.type != "ldap" or parameter_of(subject, listed, "bind") != "sasl":
        return False
    mechanisms = parameter_of(subject, listed, "sasl_mechs").upper()
    if mechanisms:
        return "GSS" in mechanisms
    return not parameter_of(subject, listed, "bind_pw")


def _cache(subject: Subject) -> tuple[str, str]:
    """The name of the cache, "" for one in a file, and where that is set."""
    for item in split(subject.settings.import_environment):
        name, _, value = item.strip("{} \t\r\n").partition("=")
        if name.strip() == _VARIABLE:
            return value.strip(), f"{_VARIABLE} in import_environment"
    return _default(KRB5_CONF), f"default_ccache_name of {KRB5_CONF}"


def _default(path: Path, depth: int = 0) -> str:
    """The first value, which is the one that counts."""
    if depth > _MOST_DEPTH:
        return ""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        match = _LINE.fullmatch(line)
        if not match:
            continue
        kind, value = match.groups()
        if not kind:
            return value
        files = [Path(value)] if kind == "include" else sorted(Path(value).glob("*"))
        for file in files:
            if found := _default(file, depth + 1):
                return found
    return ""
