"""pgsql: tables with servers that are broken, or not the ones that are meant."""

from __future__ import annotations

import importlib
import struct
import threading
import time
from collections.abc import Callable

import pytest

from postvirt.errors import TableError
from postvirt.tables.databases import answer_limits as limits
from postvirt.tables.table import TableOptions
from tests.harness.child import in_child
from tests.harness.databases import SECRET, driver, make_certificates
from tests.harness.rogue import Channel, Rogue, Script, rogue
from tests.harness.tables import open_table

pytestmark = pytest.mark.usefixtures("pgsql_driver")

OPTIONS = TableOptions(utf8=True, paranoid=True)
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
CLEAR_TEXT = 3


@pytest.fixture(name="pgsql_driver")
def _pgsql_driver():
    driver("psycopg")


def require_libpq_16():
    from psycopg import pq

    if pq.version() < 160000:
        pytest.skip("libpq before 16 cannot refuse to send a password")


@pytest.fixture(name="libpq_that_refuses")
def _libpq_that_refuses():
    require_libpq_16()


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack(">i", len(body) + 4) + body


READY = message(b"Z", b"I")
COMPLETE = message(b"C", b"SELECT 1\0")


def authentication(number: int, data: bytes = b"") -> bytes:
    return message(b"R", struct.pack(">i", number) + data)


WELCOME = b"".join(
    [
        authentication(0),
        message(b"S", b"client_encoding\0UTF8\0"),
        message(b"S", b"standard_conforming_strings\0on\0"),
        READY,
    ]
)


def columns(number: int) -> bytes:
    one = b"path\0" + struct.pack(">ihihih", 0, 0, 25, -1, -1, 0)
    return message(b"T", struct.pack(">h", number) + one * number)


def row(*values: bytes) -> bytes:
    texts = [struct.pack(">i", len(one)) + one for one in values]
    return message(b"D", struct.pack(">h", len(values)) + b"".join(texts))


def answer_with(*rows: bytes) -> bytes:
    return columns(1) + b"".join(rows) + COMPLETE + READY


def start(channel: Channel) -> bytes:
    """The start-up message of a client that would like TLS, but can go on without."""
    while True:
        length, number = struct.unpack(">ii", channel.read(8))
        if number not in (SSL_REQUEST, GSS_REQUEST):
            return channel.read(length - 8)
        channel.send(b"N")


def read_message(channel: Channel) -> bytes:
    (kind, length) = struct.unpack(">ci", channel.read(5))
    assert isinstance(kind, bytes)
    return kind + channel.read(length - 4)


def serving(answer: Callable[[Channel], None]) -> Script:
    """A server that lets anyone in, and answers queries so."""

    def script(channel: Channel) -> None:
        start(channel)
        channel.send(WELCOME)
        while read_message(channel)[:1] == b"Q":
            answer(channel)

    return script


def sending(content: bytes) -> Script:
    return serving(lambda channel: channel.send(content))


@pytest.fixture
def soon(monkeypatch):
    """Wait only so long for a connection."""
    monkeypatch.setattr(
        "postvirt.tables.databases.pgsql_connection.CONNECT_SECONDS", 0.2
    )


@pytest.fixture
def ask(cf_file):
    """Ask a server for a key."""

    def once(server: Rogue, key: bytes = b"user", **parameters: str) -> bytes | None:
        settings = {
            "hosts": f"inet:127.0.0.1:{server.port}",
            "user": "reader",
            "password": SECRET,
            "dbname": "mail",
            "query": "SELECT path FROM users WHERE address = '%s'",
            **parameters,
        }
        table = open_table(f"pgsql:{cf_file('rogue.cf', **settings)}", OPTIONS)
        try:
            return table.lookup(key)
        finally:
            table.close()

    return once


def test_a_server_of_the_harness_is_understood(ask):
    with rogue(sending(answer_with(row(b"a/"), row(b"b/")))) as server:
        assert ask(server) == b"a/,b/"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(columns(1) + row(b"a/"), id="no end"),
        pytest.param(columns(1) + row(b"a/")[:-1], id="half a row"),
        pytest.param(answer_with(row(b"a/", b"b/")), id="long row"),
        pytest.param(columns(2) + row(b"a/") + COMPLETE + READY, id="short row"),
        pytest.param(row(b"a/") + COMPLETE + READY, id="no columns"),
        pytest.param(READY, id="nothing"),
        pytest.param(message(b"I") + READY, id="empty query"),
        pytest.param(message(b"E", b"SERROR\0C53300\0Mbusy\0\0") + READY, id="error"),
        pytest.param(message(b"G", b"\0\0\0"), id="COPY in"),
        pytest.param(message(b"H", b"\0\0\0") + message(b"d", b"x"), id="COPY out"),
        pytest.param(b"Dnonsense" * 99, id="nonsense"),
        pytest.param(b"D\xff\xff\xff\xff", id="negative length"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="another protocol"),
        pytest.param(answer_with(message(b"D", b"\0\1\x7f\0\0\0")), id="long value"),
    ],
)
def test_a_broken_answer_is_an_error(ask, logged, answer):
    def once(channel: Channel) -> None:
        channel.send(answer)
        raise EOFError

    with rogue(serving(once)) as server, pytest.raises(TableError):
        ask(server)
    assert SECRET not in "".join(logged.take())


@pytest.mark.usefixtures("libpq_that_refuses")
@pytest.mark.parametrize("mode", ["", "prefer", "allow", "disable"])
def test_the_password_is_not_sent_in_clear_text(ask, logged, mode):
    def script(channel: Channel) -> None:
        start(channel)
        channel.send(authentication(CLEAR_TEXT))
        channel.stay()

    database = f"dbname = mail sslmode={mode}" if mode else "mail"
    with rogue(script) as server, pytest.raises(TableError, match="set sslmode"):
        ask(server, dbname=database)
    assert SECRET.encode() not in server.heard
    assert SECRET not in "".join(logged.take())


@pytest.mark.usefixtures("libpq_that_refuses")
@pytest.mark.parametrize(
    "place", ["127.0.0.1:{}/mail", "/mail?hostaddr=127.0.0.1&port={}"]
)
def test_the_password_of_a_uri_is_not_sent_in_clear_text(ask, logged, place):
    def script(channel: Channel) -> None:
        start(channel)
        channel.send(authentication(CLEAR_TEXT))
        channel.stay()

    with rogue(script) as server, pytest.raises(TableError, match="set sslmode"):
        ask(server, hosts=f"postgresql://reader:Wr0ng@{place.format(server.port)}")
    assert b"Wr0ng" not in server.heard
    assert "Wr0ng" not in "".join(logged.take())


@pytest.mark.parametrize(
    ("settings", "is_sent"),
    [
        ("sslmode=require", True),
        ("sslmode=verify-ca sslrootcert={path}/ca.pem", True),
        ("sslmode=verify-ca sslrootcert={path}/other-ca.pem", False),
        ("sslmode=verify-full sslrootcert={path}/ca.pem", False),  # for localhost
        ("require_auth=password", True),
        ("sslmode=require require_auth=scram-sha-256", False),
    ],
)
def test_if_tls_is_required_the_password_may_be_sent(
    ask, logged, tmp_path, settings, is_sent
):
    """PAM needs it so; the certificate proves who the server is."""
    if "require_auth" in settings:
        require_libpq_16()
    make_certificates(tmp_path)

    def script(channel: Channel) -> None:
        if struct.unpack(">ii", channel.read(8))[1] == GSS_REQUEST:
            channel.send(b"N")
            channel.read(8)
        channel.send(b"S")
        channel.start_tls(tmp_path)
        start(channel)
        channel.send(authentication(CLEAR_TEXT))
        read_message(channel)

    with rogue(script) as server, pytest.raises(TableError):
        ask(server, dbname=f"dbname=mail {settings.format(path=tmp_path)}")
    assert (SECRET.encode() in server.heard) == is_sent


def test_a_server_without_tls_is_refused_if_tls_is_required(ask, logged):
    refusal = pytest.raises(TableError, match="does not support SSL")
    with rogue(serving(lambda channel: None)) as server, refusal:
        ask(server, dbname="dbname=mail sslmode=require")
    assert b"reader" not in server.heard


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            answer_with(row(b"x" * (limits.MAX_ANSWER_BYTES + 1))), id="large"
        ),
        pytest.param(answer_with(row(b"x" * (40 << 20))), id="huge"),
        pytest.param(answer_with(*[row(b"x/")] * 30_000), id="many rows"),
        pytest.param(
            message(b"E", b"SERROR\0C53300\0M" + b"E " * 200_000 + b"\0\0") + READY,
            id="long error",
        ),
        pytest.param(
            b"".join([message(b"N", b"SWARNING\0C01000\0Mx\0\0")] * 20_000)
            + answer_with(row(b"x/")),
            id="many warnings",
        ),
    ],
)
def test_an_answer_that_is_too_large_is_an_error(ask, logged, answer):
    with rogue(sending(answer)) as server:
        with pytest.raises(TableError, match="larger than 262144 bytes"):
            ask(server)
        # It is not the server's fault: the other host is not asked the same.
        assert server.connections == 1


@pytest.mark.parametrize(
    ("where", "connections"),
    [
        ("host=HOST%2CHOST port=SILENT%2CGOOD", 1),
        (f"host={'n' * 64}%2CHOST port=GOOD", 0),  # no name has such a label
        ("hostaddr=HOST%2CHOST port=SILENT%2CGOOD", 1),
        ("host=x%2Cy hostaddr=HOST%2CHOST port=SILENT%2CGOOD", 1),
        ("host=%2Fnone%2CHOST port=GOOD", 0),
    ],
)
def test_the_next_host_is_asked_if_one_is_silent(
    cf_file, soon, logged, where, connections
):
    """While one is waited for, the rest of the process goes on: here, the servers."""
    good = rogue(sending(answer_with(row(b"a/"))))
    with rogue(Channel.stay) as silent, good as server:
        place = where.replace("HOST", "127.0.0.1").replace(" ", "&")
        place = place.replace("SILENT", str(silent.port))
        place = place.replace("GOOD", str(server.port))
        path = cf_file(hosts=f"postgresql:///mail?{place}", query="SELECT '%s'")
        table = open_table(f"pgsql:{path}", OPTIONS)
        assert table.lookup(b"user") == b"a/"
        table.close()
        assert silent.connections == connections


def test_as_many_ports_as_hosts_are_required(cf_file, logged):
    path = cf_file(
        hosts="postgresql:///mail?host=a%2Cb%2Cc&port=1%2C2", query="SELECT '%s'"
    )
    table = open_table(f"pgsql:{path}", OPTIONS)
    with pytest.raises(TableError, match="could not match 2 port numbers to 3 hosts"):
        table.lookup(b"user")
    table.close()


def test_one_large_row_does_not_stop_the_lookups_of_others(cf_file, logged):
    answers = iter([answer_with(row(b"x" * (1 << 19))), answer_with(row(b"b/"))])
    script = serving(lambda channel: channel.send(next(answers)))
    with rogue(script) as server:
        path = cf_file(
            hosts=f"inet:127.0.0.1:{server.port}", dbname="x", query="SELECT '%s'"
        )
        table = open_table(f"pgsql:{path}", OPTIONS)
        with pytest.raises(TableError, match="larger than"):
            table.lookup(b"a")
        assert table.lookup(b"b") == b"b/"
        table.close()


def silent_after_start(channel: Channel) -> None:
    start(channel)
    channel.stay()


def dripping_welcome(channel: Channel) -> None:
    start(channel)
    channel.drip(authentication(0) + message(b"S", b"a\0b\0") * 100)


def silent_in_tls(channel: Channel) -> None:
    channel.read(8)
    channel.send(b"S")
    channel.stay()


@pytest.mark.parametrize(
    "script",
    [Channel.stay, silent_after_start, dripping_welcome, silent_in_tls],
)
def test_a_server_that_does_not_let_in_has_a_time_limit(ask, soon, logged, script):
    began = time.monotonic()
    with rogue(script) as server, pytest.raises(TableError, match="timeout expired"):
        ask(server)
    assert server.connections == 2  # the only one has a second chance
    assert time.monotonic() - began < limits.CONNECT_SECONDS


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Channel.stay, id="silent"),
        pytest.param(
            lambda channel: channel.drip(columns(1) + row(b"x" * 1000)), id="one row"
        ),
        pytest.param(
            lambda channel: channel.drip(answer_with(*[row(b"x")] * 99)), id="rows"
        ),
    ],
)
def test_the_whole_of_an_answer_has_one_time_limit(ask, logged, monkeypatch, answer):
    monkeypatch.setattr("postvirt.tables.databases.pgsql.ANSWER_SECONDS", 0.2)
    refusal = pytest.raises(TableError, match="no answer in time")
    began = time.monotonic()
    with rogue(serving(answer)) as server, refusal:
        ask(server)
    assert time.monotonic() - began < limits.CONNECT_SECONDS


SASL, SASL_CONTINUE = 10, 11


@pytest.fixture
def pgsql_login():
    return importlib.import_module("postvirt.tables.databases.pgsql_login")


def asking_for(rounds: int) -> Script:
    """A server that wants the password to be hashed so often."""

    def script(channel: Channel) -> None:
        start(channel)
        channel.send(authentication(SASL, b"SCRAM-SHA-256\0\0"))
        nonce = read_message(channel).rpartition(b"r=")[2]
        challenge = b"r=%sx,s=c2FsdA==,i=%d" % (nonce, rounds)
        channel.send(authentication(SASL_CONTINUE, challenge))
        read_message(channel)
        channel.stay()

    return script


def test_a_server_that_asks_for_hours_of_work_stops_nobody_else(ask, soon):
    """In a process of its own: the thread at work can only end with it."""
    seen = []

    def look() -> None:
        while True:
            seen.append(time.monotonic())
            time.sleep(0.01)

    def once() -> int:
        threading.Thread(target=look, daemon=True).start()
        with rogue(asking_for((1 << 31) - 1)) as server:
            with pytest.raises(TableError, match="timeout expired"):
                ask(server)
            return len(seen)

    assert in_child(once) > 10


def test_only_one_login_at_a_time_is_left_behind(pgsql_login):
    def once() -> tuple[list[bool], int]:
        with rogue(asking_for((1 << 31) - 1)) as server:
            conninfo = (
                f"host=127.0.0.1 port={server.port} user=reader password=x"
                " gssencmode=disable sslmode=disable"
            ).encode()
            login = pgsql_login.Login()
            tries = [login.begin(conninfo, 0.1) for _ in range(5)]
            return [connection is None for connection, _ in tries], server.connections

    assert in_child(once) == ([True] * 5, 1)


def test_a_login_that_asks_for_little_goes_on(ask, soon):
    with rogue(asking_for(4096)) as server, pytest.raises(TableError):
        ask(server)
    assert b"c=biws,r=" in server.heard


def test_a_notice_during_the_login_is_ignored(ask):
    notice = message(b"N", b"SNOTICE\0C00000\0Mhello\0\0")

    def script(channel: Channel) -> None:
        start(channel)
        channel.send(authentication(0) + notice * 100 + WELCOME[9:])
        while read_message(channel)[:1] == b"Q":
            channel.send(answer_with(row(b"a/")))

    with rogue(script) as server:
        assert ask(server) == b"a/"


def test_a_driver_whose_library_is_not_clear_is_used_as_it_is(monkeypatch, pgsql_login):
    monkeypatch.setattr(pgsql_login, "_library", lambda: "")

    class Connection:
        def connect_poll(self) -> int:
            return 3

    assert pgsql_login._without_lock()(Connection()) == 3
    monkeypatch.undo()
    assert "libpq" in pgsql_login._library()
    monkeypatch.setattr(pgsql_login, "_MAPS", "/no/such/file")
    assert pgsql_login._library() == ""
