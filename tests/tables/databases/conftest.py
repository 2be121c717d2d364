"""Tables on the real SQL servers of a test run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness.databases import SECRET, MariaDB, PostgreSQL, driver

# Writes the file that sets up a table; returns "type:/path".
MakeTable = Callable[..., str]

QUERY = "SELECT path FROM users WHERE address = '%s'"


def _maker(type_: str, port: int, cf_file: MakeTable, **more: str) -> MakeTable:
    def make(*, name: str = f"{type_}.cf", **parameters: str) -> str:
        defaults = {
            "hosts": f"inet:127.0.0.1:{port}",
            "user": "reader",
            "password": SECRET,
            "dbname": "mail",
            "query": QUERY,
            **more,
        }
        settings = {**defaults, **parameters}
        return f"{type_}:{cf_file(name, **{k: v for k, v in settings.items() if v})}"

    return make


@pytest.fixture
def mysql(mariadb: MariaDB, cf_file: MakeTable) -> MakeTable:
    """Make mysql: tables of one server."""
    driver("pymysql")
    return _maker("mysql", mariadb.port, cf_file, option_group="none")


@pytest.fixture
def pgsql(postgresql: PostgreSQL, cf_file: MakeTable) -> MakeTable:
    """Make pgsql: tables of one server."""
    driver("psycopg")
    return _maker("pgsql", postgresql.port, cf_file)
