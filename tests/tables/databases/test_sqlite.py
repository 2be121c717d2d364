"""sqlite: tables, compared with Postfix's own."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest

from postvirt.errors import TableError
from postvirt.tables.databases.answer_limits import MAX_ANSWER_BYTES
from postvirt.tables.databases.sqlite import first_statement
from postvirt.tables.table import Table, TableOptions
from tests.harness.tables import open_maps, open_table, opener

OPTIONS = TableOptions(utf8=True, paranoid=True)

ROWS = {
    "user@example.com": "user/",
    "a@b.example.com": "sub/",
    "o'brien@example.com": "quote/",
    'dq"x@example.com': "double/",
    "back\\slash@example.com": "backslash/",
    "per%cent@example.com": "percent/",
    "straße@example.com": "utf8/",
    "user": "bare/",
    "@example.com": "all/",
    "number@example.com": 5000,
    "big@example.com": 2**63 - 1,
    "real@example.com": 1e100,
    "half@example.com": 0.5,
    "blob@example.com": b"\x61\x00\x62",
    "bytes@example.com": b"\xff",
    "null@example.com": None,
    "empty@example.com": "",
}
HOSTILE = [
    "' OR 1=1 --",
    "x' OR '1'='1",
    '" OR 1=1 --',
    'x" OR "1"="1',
    "\\' OR 1=1 --",
    "%' OR '%'='",
    "'; DELETE FROM users; --",
    "''",
    "'",
    "user@example.com' --",
    "$$",
    "?",
    ":a",
    "é' OR '1'='1",
]
KEYS = [
    key.encode()
    for key in [*ROWS, *HOSTILE, "multi@example.com", "none", "none@none", "x@", "@"]
] + [b"\xff@example.com", b"k" * 3000 + b"@example.com", b"User@Example.COM"]


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "users.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE users (address, path, uid)")
    rows = [(key, value, number) for number, (key, value) in enumerate(ROWS.items())]
    rows += [("multi@example.com", value, 9) for value in ("m/", None, "", "n@o", "p/")]
    connection.executemany("INSERT INTO users VALUES (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return str(path)


@pytest.mark.postfix
@pytest.mark.parametrize(
    "parameters",
    [
        {"query": "SELECT path FROM users WHERE address = '%s'"},
        {"query": "SELECT path, uid FROM users WHERE address = '%S'; DROP TABLE x"},
        {"query": "SELECT path FROM users WHERE address = '%u@%d'"},
        {"query": "SELECT path FROM users WHERE address = '%u@%2.%1'"},
        {"query": "SELECT path FROM users WHERE address LIKE '%u@%%' AND '%d' <> ''"},
        {"query": "SELECT '%%%s%%' || ';' || \"path\" FROM users WHERE uid = 0"},
        {"query": "SELECT path FROM users"},
        {"query": "SELECT path FROM users", "expansion_limit": "3"},
        {"query": "SELECT path FROM users WHERE uid = 1", "expansion_limit": "1"},
        {"query": "SELECT 'x' WHERE '%3' = 'b'"},
        {"query": "-- nothing"},
        {
            "table": "users",
            "select_field": "path",
            "where_field": "address",
            "additional_conditions": "AND uid < 9",
        },
        *(
            {
                "query": "SELECT path FROM users WHERE address = '%s'",
                "result_format": result,
            }
            for result in (
                "%s.",
                "%%",
                "%u",
                "%d",
                "<%S>%s",
                "%U/%s",
                "%D",
                "%1.%2",
                "é%s",
            )
        ),
        *(
            {
                "query": "SELECT path FROM users WHERE address = '%s'",
                "domain": domain,
            }
            for domain in (
                "example.com",
                "EXAMPLE.com, none",
                "!example.com, static:x",
                "inline:{example.com=1}",
                "none, fail:x, example.com",
                "static:{a b}",
                "example.com, hash:/none",
                "hash:/none, example.com",
                "example.com, /none",
                "!/none, example.com",
                "example.com, nosuch:x, example.org",
            )
        ),
    ],
)
def test_answers_are_postfix_own(database, cf_file, same_answers, parameters):
    path = cf_file(dbpath=database, **parameters)
    same_answers(f"sqlite:{path}", KEYS)


@pytest.mark.postfix
def test_a_key_is_folded_as_postmap_does(database, cf_file, postfix):
    path = cf_file(dbpath=database, query="SELECT '%s'")
    spec = f"sqlite:{path}"
    table = open_table(spec, TableOptions(utf8=True, fold=True))
    keys = ["User@Example.COM", "STRASSE", "ΑΣ", "É"]
    for key in keys:
        assert table.lookup(key.encode()) == postfix.query(spec, key.encode())
    table.close()


@pytest.mark.postfix
def test_parameters_in_main_cf(database, same_answers, postfix):
    values = {"u_dbpath": database, "u_query": "SELECT path FROM users LIMIT 1"}
    postfix.configure(**values)
    assert same_answers("sqlite:u", [b"x"], opener(**values)) == [b"user/"]


@pytest.mark.parametrize("key", HOSTILE)
@pytest.mark.parametrize(
    "query",
    [
        "SELECT path FROM users WHERE address = '%s'",
        'SELECT path FROM users WHERE address = "%s"',
        "SELECT path FROM users WHERE address LIKE '%s'",
        "SELECT path FROM users WHERE '%s' = address AND 'x' <> \"%s\"",
    ],
)
def test_an_address_cannot_break_out_of_its_quotes(database, cf_file, query, key):
    """Where a part of the query is not found as text, the driver says so."""
    path = cf_file(dbpath=database, query=query)
    table = open_table(f"sqlite:{path}", OPTIONS)
    assert table.lookup(key.encode()) is None
    table.close()


def test_double_quotes_are_doubled_and_single_ones_kept(database, cf_file):
    query = 'SELECT path FROM users WHERE address = "%s"'
    table = open_table(f"sqlite:{cf_file(dbpath=database, query=query)}", OPTIONS)
    assert table.lookup(b"o'brien@example.com") == b"quote/"
    assert table.lookup(b'dq"x@example.com') == b"double/"
    table.close()


def test_without_quotes_only_a_number_is_accepted(database, cf_file, logged):
    query = "SELECT path FROM users WHERE uid = %u"
    path = cf_file(dbpath=database, query=query)
    table = open_table(f"sqlite:{path}", OPTIONS)
    [line] = logged.take()
    assert line.startswith(f"warning: sqlite:{path}: query >{query}< contains >%u< wi")
    assert table.lookup(b"0@x") == b"user/"
    for user in (b"uid", b"0 OR 1", b"-1", b"0x1", b"1.0", b"(1)"):
        with pytest.raises(TableError, match="without quotes around it"):
            table.lookup(user + b"@x")
    table.close()


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({}, "dbpath: bad string length 0 < 1"),
        ({"dbpath": "/none/x.db", "query": "SELECT 1"}, "open database /none/x.db: No"),
        ({"dbpath": "x"}, "'table' parameter not defined"),
        ({"dbpath": "x", "query": "%x"}, "Invalid query template: %x"),
        (
            {"dbpath": "x", "query": "y", "result_format": "%"},
            "Invalid result template",
        ),
        ({"dbpath": "x", "query": "y", "result_format": ""}, "result_format: bad str"),
        ({"dbpath": "x", "query": "y", "expansion_limit": "z"}, "bad numerical"),
        ({"dbpath": "x", "query": "y", "domain": "!"}, "no pattern after '!'"),
    ],
)
def test_a_table_that_cannot_be_used_fails_at_every_lookup(
    cf_file, logged, parameters, reason
):
    descriptors = len(os.listdir("/proc/self/fd"))
    table = open_table(f"sqlite:{cf_file(**parameters)}", OPTIONS)
    assert reason in logged.take()[0]
    with pytest.raises(TableError):
        table.lookup(b"key")
    table.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.parametrize("content", [b"x" * 100, b"", None])
def test_a_broken_database_is_an_error(database, cf_file, content):
    if content is None:
        os.truncate(database, 4096)
    else:
        with open(database, "wb") as file:
            file.write(content)
    query = "SELECT path FROM users WHERE address = '%s'"
    table = open_table(f"sqlite:{cf_file(dbpath=database, query=query)}", OPTIONS)
    with pytest.raises(TableError, match="query >SELECT path FROM users"):
        table.lookup(b"user@example.com")
    table.close()


def test_a_locked_database_is_an_error(database, cf_file, monkeypatch):
    monkeypatch.setattr("postvirt.tables.databases.sqlite.LOCK_SECONDS", 0)
    query = "SELECT path FROM users WHERE address = '%s'"
    table = open_table(f"sqlite:{cf_file(dbpath=database, query=query)}", OPTIONS)
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TableError, match="locked"):
        table.lookup(b"user@example.com")
    writer.execute("COMMIT")
    writer.close()
    assert table.lookup(b"user@example.com") == b"user/"
    table.close()


@pytest.fixture
def hostile(tmp_path, cf_file):
    """Open a table on a file in which "users" is this view."""

    def make(view: str) -> Table:
        path = tmp_path / "hostile.db"
        with closing(sqlite3.connect(path)) as one:
            one.execute(f"CREATE VIEW users AS {view}")
        query = "SELECT path FROM users WHERE address = '%s'"
        return open_table(f"sqlite:{cf_file(dbpath=path, query=query)}", OPTIONS)

    return make


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (f"hex(zeroblob({MAX_ANSWER_BYTES}))", "larger than 262144 bytes"),
        ("replace(hex(zeroblob(5000)), '0', hex(zeroblob(5000)))", "too big"),
        ("zeroblob(900000000)", "too big"),
    ],
)
def test_a_value_that_is_too_large_is_an_error(hostile, logged, path, reason):
    table = hostile(f"SELECT 'user' AS address, {path} AS path")
    with pytest.raises(TableError, match=reason):
        table.lookup(b"user")
    assert table.lookup(b"none") is None
    table.close()


def test_a_view_without_end_has_a_time_limit(hostile, logged, monkeypatch):
    monkeypatch.setattr("postvirt.tables.databases.sqlite.ANSWER_SECONDS", 0.1)
    table = hostile(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT CASE i WHEN 5 THEN 'user' END AS address, '5/' AS path FROM n"
    )
    with pytest.raises(TableError, match="interrupted"):
        table.lookup(b"user")
    table.close()


def test_a_query_cannot_write(database, cf_file):
    path = cf_file(dbpath=database, query="DELETE FROM users")
    table = open_table(f"sqlite:{path}", OPTIONS)
    with pytest.raises(TableError, match="readonly"):
        table.lookup(b"user@example.com")
    table.close()


def test_what_counts_as_a_change(database, cf_file):
    path = cf_file(dbpath=database, query="SELECT 1", domain=f"texthash:{database}")
    table = open_table(f"sqlite:{path}", OPTIONS)
    assert not table.changed()
    os.utime(database)
    assert not table.changed()
    os.utime(path)
    assert table.changed()
    table.close()
    path = cf_file(dbpath=database, query="SELECT 1")
    table = open_table(f"sqlite:{path}", OPTIONS)
    os.rename(database, f"{database}.old")
    assert table.changed()
    table.close()


def test_a_list_of_domains_that_leads_back_to_the_table(database, cf_file, logged):
    path = cf_file(dbpath=database, query="SELECT 1", domain="placeholder")
    cf_file(dbpath=database, query="SELECT 1", domain=f"sqlite:{path}")
    opener().prepare([f"sqlite:{path}"])
    table = open_table(f"sqlite:{path}", OPTIONS)
    with pytest.raises(TableError, match="refers to the table itself"):
        table.lookup(b"a@b")
    table.close()


def test_an_empty_key_and_a_nul(database, cf_file, logged):
    path = cf_file(dbpath=database, query="SELECT 1")
    table = open_table(f"sqlite:{path}", OPTIONS)
    assert table.lookup(b"") is None
    assert logged.take() == [
        f'warning: table "sqlite:{path}": empty query string -- ignored'
    ]
    assert table.lookup(b"a\0b") is None
    table.close()


def test_without_utf8_a_key_that_is_not_utf8_is_not_found(database, cf_file):
    path = cf_file(dbpath=database, query="SELECT 1")
    maps = open_maps("m", f"sqlite:{path}", TableOptions(utf8=False))
    assert maps.find(b"\xff") is None
    maps.close()


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("SELECT 1", "SELECT 1"),
        ("SELECT 1;", "SELECT 1"),
        ("SELECT ';' ; DROP", "SELECT ';' "),
        ("SELECT '%s;", "SELECT '%s;"),
    ],
)
def test_the_first_statement(query, first):
    assert first_statement(query) == first
