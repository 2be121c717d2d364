"""pgsql: tables, with a real server and compared with Postfix's own."""

from __future__ import annotations

import time

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import TableOptions
from tests.harness.databases import HOSTILE, KEYS, ROWS, SECRET, driver
from tests.harness.tables import open_table

OPTIONS = TableOptions(utf8=True, paranoid=True)
QUERY = "SELECT path FROM users WHERE address = '%s'"


@pytest.fixture
def pgsql(postgresql, cf_file):
    """Write the file that sets up a table; returns "pgsql:/path"."""
    driver("psycopg")

    def make(*, name: str = "pgsql.cf", **parameters: str) -> str:
        defaults = {
            "hosts": f"inet:127.0.0.1:{postgresql.port}",
            "user": "reader",
            "password": SECRET,
            "dbname": "mail",
            "query": QUERY,
        }
        settings = {**defaults, **parameters}
        return f"pgsql:{cf_file(name, **{k: v for k, v in settings.items() if v})}"

    return make


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
        {"query": "SELECT 'é%%', '%s' FROM users WHERE uid < 2"},
        {"query": "SELECT 1; SELECT path FROM users WHERE address = '%s'"},
        {"query": "SELECT path FROM users ORDER BY uid, path"},
        {"query": "SELECT path FROM users", "expansion_limit": "3"},
        {"query": "SELECT path FROM users WHERE uid = 1", "expansion_limit": "1"},
        {"query": "DELETE FROM users WHERE uid = -1"},
        {"query": "", "select_function": "path_of"},
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
def test_answers_are_postfix_own(pgsql, same_answers, parameters):
    """Postfix 3.7 says LATIN1 to the server, so only ASCII can agree."""
    ascii_keys = [key for key in KEYS if key.isascii()]
    same_answers(pgsql(**parameters), ascii_keys)


@pytest.mark.postfix
@pytest.mark.parametrize("kind", ["unix", "uri", "dbname"])
def test_ways_to_name_a_server(pgsql, postgresql, same_answers, kind):
    port, directory = postgresql.port, postgresql.directory
    quoted = SECRET.replace("/", "%2F")
    spec = {
        "unix": {
            "hosts": f"unix:{directory}",
            "dbname": f"dbname=mail port={port}",
        },
        "uri": {
            "hosts": f"postgresql://reader:{quoted}@127.0.0.1:{port}/mail",
            "user": "nobody",
            "dbname": "mail",
        },
        "dbname": {
            "hosts": f"127.0.0.1:{port}",
            "dbname": f"dbname=mail sslmode=verify-full host=localhost"
            f" sslrootcert={directory}/ca.pem hostaddr=127.0.0.1",
        },
    }[kind]
    if kind == "dbname":
        spec["hosts"] = f"localhost:{port}"
    answers = same_answers(pgsql(**spec), [b"user@example.com", b"none"])
    assert answers == [b"user/", None]


def test_the_certificate_of_a_server_is_checked(pgsql, postgresql):
    uri = f"postgresql://reader:x@localhost:{postgresql.port}/mail?hostaddr=127.0.0.1"
    authority = f"{postgresql.directory}/other-ca.pem"
    spec = pgsql(hosts=f"{uri}&sslmode=verify-ca&sslrootcert={authority}")
    with pytest.raises(TableError, match="certificate verify failed"):
        ask(spec, b"x")


def test_text_that_is_not_ascii(pgsql):
    assert ask(pgsql(), "straße@example.com".encode()) == b"utf8/"
    assert ask(pgsql(query="SELECT 'é%s'"), b"x") == "éx".encode()
    assert ask(pgsql(encoding="LATIN1"), "straße@example.com".encode()) is None


def test_a_key_that_is_not_utf8(pgsql):
    plain = TableOptions(utf8=False)
    table = open_table(pgsql(), plain)
    assert table.lookup(b"stra\xdfe@example.com") is None
    table.close()
    table = open_table(pgsql(encoding="LATIN1"), plain)
    assert table.lookup(b"stra\xdfe@example.com") == b"utf8/"
    table.close()


@pytest.mark.parametrize("standard", ["on", "off"])
@pytest.mark.parametrize(
    "query",
    [
        QUERY,
        "SELECT path FROM users WHERE address = E'%s'",
        "SELECT path FROM users WHERE '%s' = address AND E'%s' <> ''",
    ],
)
def test_an_address_cannot_break_out_of_its_quotes(pgsql, postgresql, query, standard):
    """Keys that are rows find themselves, so that quoting has not changed them."""
    spec = pgsql(
        query=query,
        dbname=f"dbname=mail options='-c standard_conforming_strings={standard}'",
    )
    table = open_table(spec, OPTIONS)
    for key in HOSTILE:
        assert table.lookup(key.encode()) is None, key
    for key, value in ROWS.items():
        if value:
            assert table.lookup(key.encode()) == value.encode()
    table.close()


def test_an_identifier_is_quoted_as_one(pgsql):
    spec = pgsql(query="""SELECT path FROM "%1" WHERE address = '%u'""")
    assert ask(spec, b"user@users") == b"bare/"
    with pytest.raises(TableError, match=r'relation "x".users.* does not exist'):
        ask(spec, b"""user@x" users; --""")


@pytest.mark.parametrize("query", ["SELECT %u", "SELECT $$%u$$", "SELECT 'a' || %u"])
def test_without_quotes_only_a_number_is_accepted(pgsql, query):
    table = open_table(pgsql(query=query), OPTIONS)
    assert table.lookup(b"15@x").endswith(b"15")
    for user in (b"uid", b"1 OR 1", b"-1", b"$$", b"pg_sleep(1)"):
        with pytest.raises(TableError, match="without quotes around it"):
            table.lookup(user + b"@x")
    table.close()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT nonsense FROM users",
        "SELECT",
        "SELECT 1/0",
        "SELECT path FROM users; SELECT 1/0",
        ";",
        "COPY users FROM STDIN",
        "COPY users TO STDOUT",
        "INSERT INTO users VALUES ('%s')",
    ],
)
def test_a_query_that_fails_is_an_error_each_time(pgsql, query):
    table = open_table(pgsql(query=query, retry_interval="1000"), OPTIONS)
    if query != "SELECT":
        for _ in range(3):
            with pytest.raises(TableError):
                table.lookup(b"x")
    table.close()


def test_a_refused_question_does_not_stop_the_next(pgsql):
    table = open_table(pgsql(query="SELECT '%u'::int"), OPTIONS)
    with pytest.raises(TableError, match="invalid input syntax for type integer"):
        table.lookup(b"hostile@x")
    assert table.lookup(b"5@x") == b"5"
    table.close()


def test_a_wrong_password_is_an_error_that_does_not_show_it(pgsql, logged):
    with pytest.raises(TableError, match="password authentication failed") as error:
        ask(pgsql(password="Wr0ng"), b"x")
    assert "Wr0ng" not in "".join([str(error.value), *logged.take()])


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"dbname": ""}, "host target 'inet:127.0.0.1:.*' requires dbname setting"),
        ({"dbname": "dbname='Wr0ng"}, "or dbname setting cannot be understood"),
        ({"hosts": "postgresql://u:Wr0ng%zz@h"}, "cannot be understood"),
        ({"hosts": "postgresql://u:Wr/0ng@h"}, "cannot be understood"),
        ({"hosts": "mysql://u:Wr0ng@h"}, "cannot be understood"),
        ({"encoding": "nonsense"}, 'invalid value for parameter "client_encoding"'),
        ({"idle_interval": "0"}, "idle_interval: invalid value 0 < 1"),
    ],
)
def test_what_cannot_be_used(pgsql, logged, parameters, reason):
    spec = pgsql(**parameters)
    with pytest.raises(TableError, match=reason) as error:
        ask(spec, b"x")
    shown = "".join([str(error.value), *logged.take()])
    assert "Wr" not in shown
    assert "0ng" not in shown


def test_a_uri_is_shown_without_secrets(pgsql, logged):
    spec = pgsql(hosts="postgresql://u:Wr0ng@127.0.0.1:1/mail?password=Wr0ng")
    with pytest.raises(
        TableError, match=r"postgresql://127\.0\.0\.1: connect to pgsql"
    ):
        ask(spec, b"x")
    assert "Wr0ng" not in "".join(logged.take())


def test_a_server_that_died_and_came_back(pgsql, postgresql, logged):
    """One of two tables has a connection when the server dies."""
    table = open_table(pgsql(retry_interval="1"), OPTIONS)
    fresh = open_table(pgsql(name="fresh.cf", retry_interval="1"), OPTIONS)
    assert table.lookup(b"user@example.com") == b"user/"
    postgresql.stop()
    try:
        for key in (b"user@example.com", b"none", b"user@example.com"):
            for each in (table, fresh):
                with pytest.raises(TableError):
                    each.lookup(key)
    finally:
        postgresql.start()
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


def test_a_restart_between_two_lookups_is_not_noticed(pgsql, postgresql):
    table = open_table(pgsql(), OPTIONS)
    assert table.lookup(b"user@example.com") == b"user/"
    postgresql.stop()
    postgresql.start()
    assert table.lookup(b"user@example.com") == b"user/"
    table.close()


def test_a_server_that_does_not_answer(pgsql, postgresql, monkeypatch):
    monkeypatch.setattr("postvirt.tables.databases.pgsql.ANSWER_SECONDS", 0.05)
    table = open_table(pgsql(query="SELECT pg_sleep(30)"), OPTIONS)
    with pytest.raises(TableError, match="no answer in time"):
        table.lookup(b"x")
    table.close()


def test_a_dead_server_among_good_ones(pgsql, postgresql, logged):
    spec = pgsql(
        hosts=f"unix:/none inet:127.0.0.1:1 127.0.0.1:{postgresql.port}, [::1]:1"
    )
    assert ask(spec, b"user@example.com") == b"user/"
    assert logged.take()[0].startswith(f"warning: {spec}: unix:/none: connect to pgsql")
