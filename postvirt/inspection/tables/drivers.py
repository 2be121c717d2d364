"""Whether the drivers of tables are safe with servers that are not what they should be.

Source: python-ldap before 3.4.8 crashes on the name of an attribute that is not UTF-8;
libpq before 16 has no require_auth, with which a client refuses to send a password in
clear text.
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from postvirt.errors import TableError
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import Listed, different_tables
from postvirt.tables.databases.cf_file import CfParameters

_SAFE = (3, 4, 8)
# Only its users could answer in place of a server here, while that does not run.
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


def check_drivers(subject: Subject) -> Iterator[Problem]:
    """The drivers of ldap: and pgsql: tables."""
    tables = different_tables(subject)
    yield from _check_ldap(subject, [one for one in tables if one.type == "ldap"])
    yield from _check_pgsql(subject, [one for one in tables if one.type == "pgsql"])


def _check_ldap(subject: Subject, tables: list[Listed]) -> Iterator[Problem]:
    """One note is enough for all tables: the distributions have no other version."""
    if tables and (old := _unsafe_version()):
        yield tables[0].problem(
            subject,
            "PV119",
            f"python-ldap {old} crashes on a malformed answer",
            severity="info",
            remedy="install python-ldap 3.4.8 or newer, in a virtual environment if the"
            " distribution has none; until then, make sure that only your own servers"
            " can answer (tls_ca_cert_file)",
        )


def _unsafe_version() -> str:
    """The version of the driver, "" if it is safe or missing."""
    try:
        found = version("python-ldap")
        number = tuple(int(part) for part in found.split(".")[:3])
    except (PackageNotFoundError, ValueError):
        return ""
    return found if number < _SAFE else ""


def _check_pgsql(subject: Subject, tables: list[Listed]) -> Iterator[Problem]:
    """One problem for all tables of the same servers."""
    if not tables:
        return
    try:
        from postvirt.tables.databases.pgsql import PgsqlServers
        from postvirt.tables.databases.pgsql_connection import library
    except ImportError:
        return  # reported by the check that opens the tables
    found: dict[tuple[str, ...], list[Listed]] = {}
    for listed in tables:
        try:
            parameters = CfParameters(listed.name, subject.texts)
            hosts = PgsqlServers(listed.table, parameters).exposed()
            parameters.close()
        except TableError:
            continue  # reported as well
        if hosts:
            found.setdefault(tuple(hosts), []).append(listed)
    for servers, exposed in found.items():
        names = ", ".join([one.table for one in exposed])
        yield exposed[0].problem(
            subject,
            "PV120",
            f"{names}: {library()} sends the password in clear text to"
            f" {' and '.join(servers)} if asked to",
            severity="info" if _THIS_MACHINE.issuperset(servers) else "warning",
            remedy="set sslmode (dbname = dbname=NAME sslmode=verify-full"
            " sslrootcert=FILE), or use a local socket (hosts ="
            " unix:/run/postgresql); libpq 16 and newer refuse",
        )
