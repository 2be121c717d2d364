"""pgsql: tables, with a real server and compared with Postfix's own."""

from __future__ import annotations

import re

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import TableOptions
from tests.harness.databases import HOSTILE, KEYS, ROWS, SECRET
from tests.harness.tables import open_table
from tests.tables.databases.conftest import QUERY

OPTIONS = TableOptions(utf8=True, paranoid=True)


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
        {"query": "SELECT 'é%%', '%s' FROM users WHERE uid < 2"},
        {"query": "SELECT 1; SELECT path FROM users WHERE address = '%s'"},
        {"query": "DELETE FROM users WHERE uid = -1"},
        {"query": "", "select_function": "path_of"},
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


def test_text_in_latin1(pgsql):
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


# Bytes that hide a quote or a backslash in some encodings.
MULTIBYTE = [
    lead + tail + end
    for lead in (b"\x81", b"\x95", b"\xbf", b"\x8f\xa1", b"\x81\x30\x81", b"\xe3\x81")
    for tail in (b"'", b"\\'", b"\\", b"''")
    for end in (b"", b" OR 1=1 --")
]


MEANINGLESS = re.compile("invalid (byte sequence|multibyte)|has no equivalent")


@pytest.mark.parametrize("standard", ["on", "off"])
@pytest.mark.parametrize(
    "encoding",
    ["SJIS", "GBK", "BIG5", "UHC", "GB18030", "JOHAB", "EUC_JP", "LATIN1", "UTF8"],
)
def test_no_encoding_lets_an_address_break_out(pgsql, encoding, standard):
    """The server may refuse bytes that mean nothing in the encoding."""
    spec = pgsql(
        encoding=encoding,
        query="SELECT path FROM users WHERE address = '%s' OR address = E'%s'",
        dbname=f"dbname=mail options='-c standard_conforming_strings={standard}'",
    )
    table = open_table(spec, TableOptions(utf8=False))
    for key in [*MULTIBYTE, *(key.encode() for key in HOSTILE)]:
        try:
            answer = table.lookup(key)
        except TableError as error:
            assert MEANINGLESS.search(str(error)), key  # noqa: PT017 - or none
            continue
        assert answer is None, key
    for name, value in ROWS.items():
        if value:
            assert table.lookup(name.encode()) == value.encode()
    table.close()


def test_an_identifier_is_quoted_as_one(pgsql):
    spec = pgsql(query="""SELECT path FROM "%1" WHERE address = '%u'""")
    assert ask(spec, b"user@users") == b"bare/"
    with pytest.raises(TableError, match=r'relation "x".users.* does not exist'):
        ask(spec, b"""user@x" users; --""")


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
