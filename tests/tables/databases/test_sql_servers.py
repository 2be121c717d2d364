"""What mysql: and pgsql: tables have in common, with real servers."""

from __future__ import annotations

import gc
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from postvirt.errors import TableError
from postvirt.tables.databases.answer_limits import ACKNOWLEDGE_SECONDS
from postvirt.tables.table import TableOptions
from tests.harness.databases import KEYS, Server
from tests.harness.tables import open_table
from tests.tables.databases.conftest import MakeTable

OPTIONS = TableOptions(utf8=True, paranoid=True)


@dataclass(frozen=True)
class Dialect:
    """How the servers of one type differ from others.

    denied      what a server says to a wrong password
    refusing    a query that the server refuses for the user "x" only, and what it says
    sleeping    a query that takes long, and what the table says then
    unquoted    a part of an address where no quotes are
    """

    denied: str
    refusing: tuple[str, str]
    sleeping: tuple[str, str]
    unquoted: tuple[str, ...]


DIALECTS = {
    "mysql": Dialect(
        denied="Access denied for user",
        refusing=(
            "SELECT IF('%u' = 'x', (SELECT 1 UNION SELECT 2), '%u')",
            "returns more than 1 row",
        ),
        sleeping=("SELECT SLEEP(30)", "timed out"),
        unquoted=("SELECT %u", "SELECT `%u`", "SELECT 'a', %u"),
    ),
    "pgsql": Dialect(
        denied="password authentication failed",
        refusing=("SELECT '%u'::int", "invalid input syntax for type integer"),
        sleeping=("SELECT pg_sleep(30)", "no answer in time"),
        unquoted=("SELECT %u", "SELECT $$%u$$", "SELECT 'a' || %u"),
    ),
}


@dataclass(frozen=True)
class Sql:
    """A server, its tables and its dialect."""

    type: str
    server: Server
    table: MakeTable
    dialect: Dialect


@pytest.fixture(params=DIALECTS)
def sql(request: pytest.FixtureRequest) -> Sql:
    """Each kind of server in turn."""
    server = {"mysql": "mariadb", "pgsql": "postgresql"}[request.param]
    return Sql(
        request.param,
        request.getfixturevalue(server),
        request.getfixturevalue(request.param),
        DIALECTS[request.param],
    )


def ask(spec: str, key: bytes) -> bytes | None:
    table = open_table(spec, OPTIONS)
    try:
        return table.lookup(key)
    finally:
        table.close()


@pytest.mark.postfix
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"query": "SELECT path, uid, NULL FROM users WHERE address = '%u@%d'"},
        {"query": "SELECT path FROM users WHERE address = '%u@%2.%1'"},
        {"query": "SELECT path FROM users WHERE address LIKE '%u@%%' ORDER BY 1"},
        {"query": "SELECT path FROM users ORDER BY uid, path"},
        {"query": "SELECT path FROM users", "expansion_limit": "3"},
        {"query": "SELECT path FROM users WHERE uid = 1", "expansion_limit": "1"},
        {
            "query": "",
            "table": "users",
            "select_field": "path",
            "where_field": "address",
            "additional_conditions": "AND uid < 9",
        },
        {"result_format": "<%S>%s"},
        {"result_format": "%u|%U"},
        {"result_format": "%d"},
        {"domain": "example.com"},
        {"domain": "!example.com, static:x"},
        {"domain": "none, fail:x, example.com"},
    ],
)
def test_answers_are_postfix_own(sql, same_answers, parameters):
    """Postfix 3.7 says latin1 to the server, so only ASCII can agree."""
    same_answers(sql.table(**parameters), [key for key in KEYS if key.isascii()])


def test_text_that_is_not_ascii(sql):
    assert ask(sql.table(), "straße@example.com".encode()) == b"utf8/"
    assert ask(sql.table(query="SELECT 'é%s'"), b"x") == "éx".encode()


def test_without_quotes_only_a_number_is_accepted(sql):
    for query in sql.dialect.unquoted:
        table = open_table(sql.table(query=query), OPTIONS)
        if "`" not in query:
            answer = table.lookup(b"15@x")
            assert answer
            assert answer.endswith(b"15")
        for user in (b"uid", b"1 OR 1", b"-1", b"`", b"$$", b"sleep(1)"):
            with pytest.raises(TableError, match="without quotes around it"):
                table.lookup(user + b"@x")
        table.close()


def test_a_refused_query_does_not_stop_the_next(sql):
    query, reason = sql.dialect.refusing
    table = open_table(sql.table(query=query), OPTIONS)
    for _ in range(2):
        with pytest.raises(TableError, match=reason):
            table.lookup(b"x@x")
        assert table.lookup(b"5@x") == b"5"
    table.close()


def test_a_wrong_password_is_an_error_that_does_not_show_it(sql, logged):
    with pytest.raises(TableError, match=sql.dialect.denied) as error:
        ask(sql.table(password="Wr0ng"), b"x")
    assert "Wr0ng" not in "".join([str(error.value), *logged.take()])


def test_a_server_that_died_and_came_back(sql, logged):
    """One of two tables has a connection when the server dies."""
    table = open_table(sql.table(retry_interval="1"), OPTIONS)
    fresh = open_table(sql.table(name="fresh.cf", retry_interval="1"), OPTIONS)
    assert table.lookup(b"user@example.com") == b"user/"
    sql.server.stop()
    try:
        for key in (b"user@example.com", b"none", b"user@example.com"):
            for each in (table, fresh):
                with pytest.raises(TableError):
                    each.lookup(key)
    finally:
        sql.server.start()
    deadline = time.monotonic() + 10
    for each in (table, fresh):
        while time.monotonic() < deadline:
            try:
                assert each.lookup(b"user@example.com") == b"user/"
                break
            except TableError:
                pass
        assert each.lookup(b"none") is None
        each.close()


def test_a_restart_between_two_lookups_is_not_noticed(sql):
    table = open_table(sql.table(), OPTIONS)
    assert table.lookup(b"user@example.com") == b"user/"
    sql.server.stop()
    sql.server.start()
    assert table.lookup(b"user@example.com") == b"user/"
    table.close()


def acknowledgement_limits(port: int) -> Iterator[int]:
    """Of this process's connections to a port, in seconds."""
    for name in os.listdir("/proc/self/fd"):
        try:
            one = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        with one:
            if one.family == socket.AF_INET and one.getpeername()[1] == port:
                limit = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                yield limit // 1000


def test_a_host_that_is_gone_is_noticed_before_a_server_that_is_slow(sql):
    """The kernel ends a connection whose other end does not acknowledge anything."""
    table = open_table(sql.table(), OPTIONS)
    assert table.lookup(b"user@example.com") == b"user/"
    assert {*acknowledgement_limits(sql.server.port)} == {ACKNOWLEDGE_SECONDS}
    table.close()


def test_a_server_that_does_not_answer(sql, monkeypatch):
    monkeypatch.setattr(f"postvirt.tables.databases.{sql.type}.ANSWER_SECONDS", 0.05)
    query, reason = sql.dialect.sleeping
    table = open_table(sql.table(query=query), OPTIONS)
    with pytest.raises(TableError, match=reason):
        table.lookup(b"x")
    table.close()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_dead_server_among_good_ones(sql, logged):
    """MySQL's driver leaves it to the garbage collector to close the first socket."""
    port = sql.server.port
    spec = sql.table(hosts=f"unix:/none inet:127.0.0.1:1 127.0.0.1:{port}, [::1]:1")
    assert ask(spec, b"user@example.com") == b"user/"
    begin = f"warning: {spec}: unix:/none: connect to {sql.type}"
    assert logged.take()[0].startswith(begin)
    gc.collect()
