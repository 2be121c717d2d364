"""mysql: tables with servers that are broken, or not the ones that are meant."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from postvirt.errors import TableError
from postvirt.tables.databases import answer_limits as limits
from postvirt.tables.table import TableOptions
from tests.harness.databases import SECRET, driver, make_certificates
from tests.harness.rogue import Channel, Rogue, Script, rogue
from tests.harness.tables import open_table

pytestmark = pytest.mark.usefixtures("mysql_driver")

OPTIONS = TableOptions(utf8=True, paranoid=True)
QUIT, QUERY, PING = 1, 3, 14
SSL = 0x0800
CAPABILITIES = 0x800FFFFF
AUTOCOMMIT = 2
OK = b"\0\0\0" + AUTOCOMMIT.to_bytes(2, "little") + b"\0\0"
EOF = b"\xfe\0\0\2\0"


@pytest.fixture(name="mysql_driver")
def _mysql_driver():
    driver("pymysql")


def packet(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number]) + payload


def greeting(method: str = "mysql_native_password", *, tls: bool = False) -> bytes:
    able = CAPABILITIES if tls else CAPABILITIES & ~SSL
    return packet(
        0,
        b"\x0a5.5.5-rogue\0"
        + bytes(4)
        + b"12345678\0"
        + (able & 0xFFFF).to_bytes(2, "little")
        + b"\x21\2\0"
        + (able >> 16).to_bytes(2, "little")
        + b"\x15"
        + bytes(10)
        + b"123456789012\0"
        + method.encode()
        + b"\0",
    )


def read_packet(channel: Channel) -> tuple[int, bytes]:
    head = channel.read(4)
    return head[3], channel.read(int.from_bytes(head[:3], "little"))


def column(name: bytes) -> bytes:
    texts = b"".join(bytes([len(one)]) + one for one in (b"def", b"", b"", b"", name))
    return texts + b"\0" + b"\x0c\x21\0\0\1\0\0\xfd\0\0\0\0\0"


def head(columns: int) -> list[bytes]:
    """The first packets of an answer."""
    return [bytes([columns]), *(column(b"x") for _ in range(columns)), EOF]


def text(value: bytes) -> bytes:
    """A value in a row."""
    return b"\xfe" + len(value).to_bytes(8, "little") + value


def packets(*payloads: bytes) -> bytes:
    return b"".join(packet(number % 256, one) for number, one in enumerate(payloads, 1))


def serving(answer: Callable[[Channel], None]) -> Script:
    """A server that lets anyone in, and answers queries so."""

    def script(channel: Channel) -> None:
        channel.send(greeting())
        number, _ = read_packet(channel)
        channel.send(packet(number + 1, OK))
        while True:
            _, command = read_packet(channel)
            if command[0] == QUIT:
                return
            if command[0] == PING or command.startswith(b"\3SET"):
                channel.send(packet(1, OK))
            else:
                answer(channel)

    return script


def sending(content: bytes) -> Script:
    return serving(lambda channel: channel.send(content))


@pytest.fixture
def ask(cf_file):
    """Ask a server for a key."""

    def once(server: Rogue, key: bytes = b"user", **parameters: str) -> bytes | None:
        defaults = {
            "hosts": f"inet:127.0.0.1:{server.port}",
            "user": "reader",
            "password": SECRET,
            "dbname": "mail",
            "query": "SELECT path FROM users WHERE address = '%s'",
            "option_group": "none",
        }
        path = cf_file("rogue.cf", **defaults, **parameters)
        table = open_table(f"mysql:{path}", OPTIONS)
        try:
            return table.lookup(key)
        finally:
            table.close()

    return once


def test_a_server_of_the_harness_is_understood(ask):
    with rogue(sending(packets(*head(2), text(b"a/") + text(b"b/"), EOF))) as server:
        assert ask(server) == b"a/,b/"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(packets(*head(2), text(b"a/")), id="no end"),
        pytest.param(packets(*head(2), text(b"a/"), EOF), id="short row"),
        pytest.param(packets(*head(1), text(b"a/")[:-1], EOF), id="short value"),
        pytest.param(packets(*head(1), b"", EOF), id="empty packet"),
        pytest.param(packets(b"\0", EOF, EOF), id="no columns"),
        pytest.param(packets(b"\0"), id="half an OK"),
        pytest.param(packets(b"\xff"), id="half an error"),
        pytest.param(packets(b"\1", b"nonsense", EOF, EOF), id="bad column"),
        pytest.param(packets(b"\xfe" + b"\xff" * 8), id="2**64 columns"),
        pytest.param(packets(OK), id="no result set"),
        pytest.param(packet(7, OK), id="bad number"),
        pytest.param(packets(EOF), id="only an end"),
        pytest.param(packet(1, b"\xff\x10\x04#08004Too many connections"), id="error"),
        pytest.param(b"\xff\xff\xff", id="half a head"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9, id="another protocol"),
    ],
)
def test_a_broken_answer_is_an_error(ask, logged, answer):
    def once(channel: Channel) -> None:
        channel.send(answer)
        raise EOFError

    with rogue(serving(once)) as server, pytest.raises(TableError):
        ask(server)
    assert SECRET not in "".join(logged.take())


@pytest.mark.parametrize(
    "file", [b"/etc/passwd", b"/etc/postfix/virtual.cf", b"../../etc/hosts"]
)
def test_a_server_that_asks_for_a_file_gets_nothing(ask, logged, file):
    refusal = pytest.raises(TableError, match="local_infile option is false")
    with rogue(sending(packet(1, b"\xfb" + file))) as server, refusal:
        ask(server)
    # Nothing was sent after the query, not even that the file is empty.
    assert server.said[-1].startswith(b"\3SELECT") or server.said[-1] == b"\1"


def switch(method: str, data: bytes = b"12345678901234567890\0") -> bytes:
    return b"\xfe" + method.encode() + b"\0" + data


@pytest.mark.parametrize(
    ("method", "data", "extra"),
    [
        ("mysql_clear_password", b"", b""),
        ("dialog", b"\4Password: ", b""),
        ("mysql_old_password", b"12345678\0", b""),
        ("sha256_password", b"12345678901234567890\0", b""),
        ("caching_sha2_password", b"12345678901234567890\0", b"\1\4"),
    ],
)
def test_the_password_is_not_sent_in_clear_text(ask, logged, method, data, extra):
    """Nor encrypted with a key that the server has just made."""

    def script(channel: Channel) -> None:
        channel.send(greeting())
        number, _ = read_packet(channel)
        channel.send(packet(number + 1, switch(method, data)))
        if extra:
            number, _ = read_packet(channel)
            channel.send(packet(number + 1, extra))
        channel.stay()

    with rogue(script) as server, pytest.raises(TableError, match="set tls_CAfile"):
        ask(server)
    assert SECRET.encode() not in server.heard
    assert SECRET not in "".join(logged.take())


@pytest.mark.parametrize("method", ["sha256_password", "caching_sha2_password"])
def test_a_greeting_cannot_ask_for_the_password_either(ask, logged, method):
    def script(channel: Channel) -> None:
        channel.send(greeting(method))
        number, _ = read_packet(channel)
        channel.send(packet(number + 1, b"\1\4"))
        number, _ = read_packet(channel)
        channel.send(packet(number + 1, b"\1-----BEGIN PUBLIC KEY-----"))
        channel.stay()

    with rogue(script) as server, pytest.raises(TableError, match="set tls_CAfile"):
        ask(server)
    assert SECRET.encode() not in server.heard


def test_with_tls_parameters_the_password_may_be_sent(ask, tmp_path):
    """PAM needs it so; the certificate proves who the server is."""
    make_certificates(tmp_path)

    def script(channel: Channel) -> None:
        channel.send(greeting(tls=True))
        read_packet(channel)
        channel.start_tls(tmp_path)
        number, _ = read_packet(channel)
        channel.send(packet(number + 1, switch("mysql_clear_password", b"")))
        read_packet(channel)

    with rogue(script) as server:
        for file in ("other-ca.pem", "ca.pem"):
            server.said.clear()
            with pytest.raises(TableError):
                ask(server, tls_CAfile=f"{tmp_path}/{file}")
            assert (SECRET.encode() in server.heard) == (file == "ca.pem")


def test_with_tls_parameters_nobody_logs_in_without_tls(ask, tmp_path, monkeypatch):
    """Also with a driver that goes on, as those before 1.2."""
    make_certificates(tmp_path)
    from pymysql.connections import Connection

    begun: list[object] = []
    monkeypatch.setattr(Connection, "_request_authentication", begun.append)

    def script(channel: Channel) -> None:
        channel.send(greeting(tls=False))
        channel.stay()

    with rogue(script) as server, pytest.raises(TableError, match="SSL is required"):
        ask(server, tls_CAfile=f"{tmp_path}/ca.pem")
    assert not begun
    assert server.heard == b""


@pytest.mark.timeout(20)
def test_the_time_limit_does_not_depend_on_the_driver():
    """Before 1.2, the driver sets it where LimitedConnection reads."""
    from pymysql.err import OperationalError

    from postvirt.tables.databases.mysql_connection import LimitedConnection

    ours, silent = socket.socketpair()
    connection = LimitedConnection.__new__(LimitedConnection)
    with ours, silent:
        connection._sock, connection._rfile = ours, ours.makefile("rb")
        connection.limit(0.1)
        with pytest.raises(OperationalError, match="timed out"):
            connection._read_bytes(4)


def big(size: int) -> bytes:
    """One value of that size, in packets of at most 16 MB."""
    row = text(b"x" * size)
    whole = [row[at : at + 0xFFFFFF] for at in range(0, len(row) + 1, 0xFFFFFF)]
    return packets(*head(1), *whole, EOF)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(big(limits.MAX_ANSWER_BYTES), id="large"),
        pytest.param(big(40 << 20), id="huge"),
        pytest.param(packets(*head(1), *[text(b"x/")] * 30_000, EOF), id="many rows"),
        pytest.param(
            packets(b"\xfc\xdc\5", *[column(b"x" * 200)] * 1500), id="many columns"
        ),
        pytest.param(
            packet(1, b"\xff\x10\x04#08004" + b"E" * 400_000), id="long error"
        ),
    ],
)
def test_an_answer_that_is_too_large_is_an_error(ask, logged, answer):
    with rogue(sending(answer)) as server:
        with pytest.raises(TableError, match="larger than 262144 bytes"):
            ask(server)
        # It is not the server's fault: the other host is not asked the same.
        assert server.connections == 1


def test_a_value_that_fits_is_found(ask):
    value = b"x" * 200_000
    with rogue(sending(big(len(value)))) as server:
        assert ask(server) == value
        with pytest.raises(TableError, match="values of key 'user' are larger"):
            ask(server, result_format="%s%s")


def test_one_large_row_does_not_stop_the_lookups_of_others(cf_file, logged):
    answers = iter([big(1 << 19), packets(*head(1), text(b"b/"), EOF)])
    script = serving(lambda channel: channel.send(next(answers)))
    with rogue(script) as server:
        path = cf_file(
            hosts=f"inet:127.0.0.1:{server.port}", dbname="x", query="SELECT '%s'"
        )
        table = open_table(f"mysql:{path}", OPTIONS)
        with pytest.raises(TableError, match="larger than"):
            table.lookup(b"a")
        assert table.lookup(b"b") == b"b/"
        table.close()


def silent(channel: Channel) -> None:
    channel.stay()


def dripping_greeting(channel: Channel) -> None:
    channel.drip(greeting() * 100)


def silent_after_greeting(channel: Channel) -> None:
    channel.send(greeting())
    channel.stay()


def silent_in_tls(channel: Channel) -> None:
    channel.send(greeting(tls=True))
    channel.stay()


@pytest.mark.parametrize(
    "script", [silent, dripping_greeting, silent_after_greeting, silent_in_tls]
)
def test_a_server_that_does_not_let_in_has_a_time_limit(
    ask, logged, monkeypatch, script
):
    monkeypatch.setattr(
        "postvirt.tables.databases.mysql_connection.CONNECT_SECONDS", 0.1
    )
    began = time.monotonic()
    with rogue(script) as server, pytest.raises(TableError, match="timed out"):
        ask(server)
    assert server.connections == 2  # the only one has a second chance
    assert time.monotonic() - began < limits.CONNECT_SECONDS


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda channel: channel.stay(), id="silent"),
        pytest.param(lambda channel: channel.drip(big(1000)), id="one packet"),
        pytest.param(
            lambda channel: channel.drip(packets(*head(1), *[text(b"x")] * 99)),
            id="rows",
        ),
    ],
)
def test_the_whole_of_an_answer_has_one_time_limit(ask, logged, monkeypatch, answer):
    monkeypatch.setattr("postvirt.tables.databases.mysql.ANSWER_SECONDS", 0.2)
    began = time.monotonic()
    refusal = pytest.raises(TableError, match="timed out")
    with rogue(serving(answer)) as server, refusal:
        ask(server)
    assert time.monotonic() - began < limits.CONNECT_SECONDS


def test_endless_results_have_a_limit(ask, logged):
    more = b"\0\0\0\x0a\0\0\0" + b"x" * 2000  # OK, and there are more results

    def answer(channel: Channel) -> None:
        number = 1
        while True:
            channel.send(packet(number % 256, more))
            number += 1

    refusal = pytest.raises(TableError, match="larger than 262144 bytes")
    with rogue(serving(answer)) as server, refusal:
        ask(server)
