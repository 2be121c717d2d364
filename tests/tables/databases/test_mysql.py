"""mysql: tables, with a real server and compared with Postfix's own."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager

import pytest

from postvirt.errors import TableError
from postvirt.tables.table import TableOptions
from tests.harness.databases import HOSTILE, KEYS, ROWS, SECRET, driver
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
        {"query": 'SELECT path FROM users WHERE address = "%s"'},
        {"query": "SELECT 'a%%', '%s', 1.50, x'6100', NOW() < 0"},
        {"query": "CALL path_of('%s')"},
        {"query": "CALL nothing()", "require_result_set": "no"},
        {"query": "DELETE FROM users WHERE uid = -1", "require_result_set": "no"},
    ],
)
def test_answers_are_postfix_own(mysql, same_answers, parameters):
    """Postfix 3.7 says latin1 to the server, so only ASCII can agree."""
    same_answers(mysql(**parameters), [key for key in KEYS if key.isascii()])


@pytest.mark.postfix
@pytest.mark.parametrize(
    "query",
    ["CALL nothing()", "CALL twice()", "SELECT nonsense", "SELECT 1; SELECT 2"],
)
def test_a_query_that_fails_is_an_error(mysql, same_answers, query):
    assert same_answers(mysql(query=query), [b"x", b"x"]) == ["error", "error"]


@pytest.mark.postfix
@pytest.mark.parametrize(
    ("hosts", "options"),
    [
        ("", "socket = {socket}"),
        ("localhost:99", "socket='{socket}'\nport = 1"),
        ("LOCALHOST", "host = 127.0.0.1\nport = {port}\nsocket=/none"),
        ("127.0.0.1", "port = {port}"),
        ("127.0.0.1:{port}", "port = 1"),
    ],
)
@pytest.mark.parametrize("group", ["client", "mine"])
def test_an_option_file(
    mysql, mariadb, same_answers, text_table, group, hosts, options
):
    place = {"socket": mariadb.socket, "port": mariadb.port}
    lines = (
        "[client]\n# comment\nuser=nobody\npassword=Wr0ng\n"
        f"[{group}]\nuser = reader\n{options.format(**place)}\n[later]\nuser = later"
    )
    included = text_table(lines.encode(), "included.cnf")
    file = text_table(f"[other]\nuser=x\n!include {included}\n".encode(), "my.cnf")
    spec = mysql(
        hosts=hosts.format(**place), user="", option_file=file, option_group=group
    )
    assert same_answers(spec, [b"user@example.com"]) == [b"user/"]


@pytest.mark.postfix
def test_a_password_in_an_option_file_is_not_used(mysql, same_answers, text_table):
    file = text_table(f"[client]\npassword = {SECRET}\n".encode())
    spec = mysql(password="", option_file=file, option_group="client")
    assert same_answers(spec, [b"user@example.com"]) == ["error"]


@pytest.mark.postfix
def test_a_socket(mysql, mariadb, same_answers):
    spec = mysql(hosts=f"unix:{mariadb.socket}")
    assert same_answers(spec, [b"user@example.com", b"none"]) == [b"user/", None]


@pytest.mark.postfix
@pytest.mark.parametrize(
    ("tls", "is_good"),
    [
        ({}, True),
        ({"tls_CAfile": "ca.pem"}, True),
        ({"tls_CAfile": "ca.pem", "tls_verify_cert": "yes"}, True),
        ({"tls_CAfile": "other-ca.pem"}, False),
        ({"tls_CAfile": "other-ca.pem", "tls_verify_cert": "yes"}, False),
    ],
)
def test_tls(mysql, mariadb, logged, tls, is_good):
    """The account insists on it."""
    if "tls_CAfile" in tls:
        tls = {**tls, "tls_CAfile": f"{mariadb.directory}/{tls['tls_CAfile']}"}
    spec = mysql(user="secure", hosts=f"127.0.0.1:{mariadb.port}", **tls)
    if is_good and "tls_verify_cert" not in tls:
        assert ask(spec, b"user@example.com") == b"user/"
    else:
        # The certificate is for "localhost".
        with pytest.raises(TableError, match="certificate verify failed"):
            ask(spec, b"x")


def test_a_server_without_tls_is_refused_if_tls_is_asked_for(mysql):
    """A greeting that does not offer TLS may come from somebody in between."""
    capabilities = 0x800FF7FF & ~0x0800  # all that matter, but not TLS
    greeting = (
        b"\x0a5.5.5-fake\0"
        + bytes(4)
        + b"12345678\0"
        + (capabilities & 0xFFFF).to_bytes(2, "little")
        + b"\x21\2\0"
        + (capabilities >> 16).to_bytes(2, "little")
        + b"\x15"
        + bytes(10)
        + b"123456789012\0mysql_native_password\0"
    )
    said: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def serve() -> None:
            for _ in range(2):  # the first try, and the second chance
                connection, _ = listener.accept()
                with connection:
                    head = len(greeting).to_bytes(3, "little") + b"\0"
                    connection.sendall(head + greeting)
                    said.append(connection.recv(4096))

        server = threading.Thread(target=serve)
        server.start()
        spec = mysql(
            hosts=f"127.0.0.1:{listener.getsockname()[1]}", tls_ciphers="DEFAULT"
        )
        with pytest.raises(TableError, match="SSL is required"):
            ask(spec, b"x")
        server.join()
    assert said == [b"", b""]


def test_text_in_latin1(mysql):
    assert ask(mysql(charset="latin1"), "straße@example.com".encode()) is None
    table = open_table(mysql(charset="latin1"), TableOptions(utf8=False))
    assert table.lookup(b"stra\xdfe@example.com") == b"utf8/"
    table.close()


@pytest.mark.parametrize(
    "mode", ["", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES"]
)
@pytest.mark.parametrize("charset", ["utf8mb4", "latin1"])
@pytest.mark.parametrize(
    "query",
    [
        QUERY,
        'SELECT path FROM users WHERE address = "%s"',
        "SELECT path FROM users WHERE '%s' = address AND \"%s\" <> ''",
        "CALL path_of('%s')",
    ],
)
def test_an_address_cannot_break_out_of_its_quotes(
    mysql, mariadb, query, mode, charset
):
    """Keys that are rows find themselves, so that quoting has not changed them."""
    if "ANSI_QUOTES" in mode and '"' in query:
        query = query.replace('"', "'")
    with root(mariadb) as cursor:
        cursor.execute("SELECT @@global.sql_mode")
        [[before]] = cursor.fetchall()
        cursor.execute("SET GLOBAL sql_mode = %s", (mode,))
        try:
            table = open_table(mysql(query=query, charset=charset), OPTIONS)
            for key in HOSTILE:
                assert table.lookup(key.encode()) is None, key
            for key, value in ROWS.items():
                if value:
                    assert table.lookup(key.encode()) == value.encode()
            table.close()
        finally:
            cursor.execute("SET GLOBAL sql_mode = %s", (before,))


# Bytes that hide a quote or a backslash in some character sets.
MULTIBYTE = [
    lead + tail
    for lead in (b"\x81", b"\x95", b"\xbf", b"\xe3\x81", b"\xf0\x9f")
    for tail in (b"'", b"\\'", b"' OR 1=1 -- ", b"\\' OR 1=1 -- ", b"\\")
]


@pytest.mark.parametrize(
    ("mode", "init_connect"),
    [
        ("NO_BACKSLASH_ESCAPES", "SET sql_mode = ''"),
        ("", "SET sql_mode = 'NO_BACKSLASH_ESCAPES'"),
        ("", "SET NAMES gbk"),
        ("NO_BACKSLASH_ESCAPES", "SET NAMES sjis, sql_mode = ''"),
    ],
)
@pytest.mark.parametrize("charset", ["utf8mb4", "latin1"])
def test_what_a_server_does_when_a_client_connects_changes_nothing(
    mysql, mariadb, mode, init_connect, charset
):
    """It may set another SQL mode than the one of its greeting."""
    with root(mariadb) as cursor:
        cursor.execute(
            "SET GLOBAL sql_mode = %s, init_connect = %s", (mode, init_connect)
        )
        try:
            options = TableOptions(utf8=False)
            table = open_table(mysql(charset=charset), options)
            for key in [*MULTIBYTE, *(key.encode() for key in HOSTILE)]:
                assert table.lookup(key) is None, key
            for name, value in ROWS.items():
                if value:
                    assert table.lookup(name.encode()) == value.encode()
            table.close()
        finally:
            cursor.execute("SET GLOBAL sql_mode = DEFAULT, init_connect = ''")


def test_a_name_is_quoted_as_one(mysql, mariadb):
    with root(mariadb) as cursor:
        cursor.execute("SET GLOBAL sql_mode = 'ANSI_QUOTES'")
        try:
            query = """SELECT path FROM "%1" WHERE address = '%u'"""
            table = open_table(mysql(query=query), OPTIONS)
            assert table.lookup(b"user@users") == b"bare/"
            for domain in (b'x" users; -- ', b'users" -- ', b'\\" users -- '):
                with pytest.raises(TableError, match=r"doesn't exist|Incorrect table"):
                    table.lookup(b"user@" + domain)
            table.close()
        finally:
            cursor.execute("SET GLOBAL sql_mode = DEFAULT")


@contextmanager
def root(mariadb):
    connection = driver("pymysql").connect(unix_socket=mariadb.socket, user="root")
    with connection, connection.cursor() as cursor:
        yield cursor


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"dbname": ""}, "dbname: bad string length 0 < 1"),
        ({"charset": "gbk"}, "charset gbk is not supported"),
        ({"hosts": "h:nonsense"}, "unknown service: nonsense/tcp"),
        ({"hosts": "h:" + "9" * 5000}, "unknown service: 9+/tcp"),
        ({"option_file": "/none"}, "open /none: No such file or directory"),
        ({"tls_CAfile": "/none"}, "TLS settings: .*No such file"),
        ({"tls_ciphers": "none"}, "TLS settings: .*No cipher can be selected"),
        ({"tls_verify_cert": "maybe"}, "bad boolean configuration: maybe"),
        ({"retry_interval": "0"}, "retry_interval: invalid value 0 < 1"),
    ],
)
def test_what_cannot_be_used(mysql, logged, parameters, reason):
    with pytest.raises(TableError, match=reason):
        ask(mysql(**parameters), b"x")
    assert SECRET not in "".join(logged.take())


def test_a_server_that_is_behind_is_asked_last(mysql, mariadb, logged):
    """Galera's errors, from a server that says them on one of two ways to it."""
    behind = (
        "BEGIN NOT ATOMIC"
        " IF USER() LIKE '%%@localhost' AND '%u' <> 'well' THEN"
        " SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {}, MESSAGE_TEXT = 'not ready';"
        " END IF; SELECT '%u'; END"
    )
    both = f"unix:{mariadb.socket} inet:127.0.0.1:{mariadb.port}"
    for number in (1047, 1205):
        query = behind.format(number)
        table = open_table(mysql(hosts=both, query=query), OPTIONS)
        for _ in range(2):
            assert table.lookup(b"user@example.com") == b"user"
        (line,) = logged.take()
        assert line.endswith(f"unix:{mariadb.socket}: query failed: not ready")
        table.close()

        alone = mysql(hosts=f"unix:{mariadb.socket}", query=query)
        table = open_table(alone, OPTIONS)
        with pytest.raises(TableError, match="not ready"):
            table.lookup(b"user@example.com")
        assert table.lookup(b"well@example.com") == b"well"
        logged.take()
        table.close()
