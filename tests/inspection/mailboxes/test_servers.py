"""Answers of database servers that are not the paths that were meant."""

from __future__ import annotations

import pytest

from tests.harness.databases import SECRET, MariaDB, PostgreSQL, driver
from tests.harness.installations import Installation, problems_of

pytestmark = pytest.mark.root

PATH = "'example.com/postmaster/'"
# For one address, which is among those that are tried.
WHERE = "WHERE '%s' = 'postmaster@example.com'"


def found(
    installation: Installation, kind: str, port: int, query: str
) -> list[tuple[str, str]]:
    path = installation.etc / f"{kind}.cf"
    path.write_text(
        f"hosts = inet:127.0.0.1:{port}\nuser = reader\npassword = {SECRET}\n"
        f"dbname = mail\nquery = {query}\n"
    )
    path.chmod(0o644)
    installation.set(virtual_mailbox_maps=f"{kind}:{path}")
    return [
        (one.code, one.severity)
        for one in problems_of(installation)
        if one.severity != "info"
    ]


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        (f"SELECT {PATH} {WHERE}", []),
        (f"SELECT trim({PATH}::char(40)) {WHERE}", []),
        # The type pads the value, and blanks count at the end of a path.
        (f"SELECT {PATH}::char(40) {WHERE}", [("PV218", "error")]),
        (f"SELECT 1 {WHERE}", [("PV220", "error")]),
        (f"SELECT true {WHERE}", [("PV220", "error")]),
        (f"SELECT '%s' {WHERE}", [("PV220", "warning")]),
        (f"SELECT {PATH}", [("PV222", "warning")]),
    ],
)
def test_postgresql(
    installation: Installation,
    postgresql: PostgreSQL,
    query: str,
    problems: list[tuple[str, str]],
) -> None:
    driver("psycopg")
    assert found(installation, "pgsql", postgresql.port, query) == problems


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        (f"SELECT {PATH} FROM dual {WHERE}", []),
        (f"SELECT concat({PATH}, ' ') FROM dual {WHERE}", [("PV218", "error")]),
        (f"SELECT 1 FROM dual {WHERE}", [("PV220", "error")]),
        (
            f"SELECT count(*) FROM dual {WHERE}",
            [("PV222", "warning"), ("PV220", "error"), ("PV220", "error")],
        ),
        (f"SELECT '%s' FROM dual {WHERE}", [("PV220", "warning")]),
        (f"SELECT {PATH} FROM dual", [("PV222", "warning")]),
    ],
)
def test_mysql(
    installation: Installation,
    mariadb: MariaDB,
    query: str,
    problems: list[tuple[str, str]],
) -> None:
    driver("pymysql")
    assert found(installation, "mysql", mariadb.port, query) == problems
