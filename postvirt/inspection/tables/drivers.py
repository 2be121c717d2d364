"""Whether the drivers of tables are safe with answers that are not what they should be.

Source: python-ldap before 3.4.8 crashes on the name of an attribute that is not UTF-8.
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import different_tables

_SAFE = (3, 4, 8)


def check_drivers(subject: Subject) -> Iterator[Problem]:
    """The driver of ldap: tables; one warning is enough for all tables."""
    tables = [one for one in different_tables(subject) if one.type == "ldap"]
    if tables and (old := _unsafe_version()):
        yield tables[0].problem(
            subject,
            "PV119",
            f"python-ldap {old} crashes on a malformed answer",
            severity="warning",
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
