"""ldap: tables with servers that are broken, or not the ones that are meant."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import pytest

from postvirt.errors import TableError
from postvirt.tables.databases import answer_limits as limits
from postvirt.tables.table import Table, TableOptions
from tests.harness.databases import SECRET, driver, make_certificates
from tests.harness.rogue import Channel, Rogue, Script, rogue
from tests.harness.tables import open_table

pytestmark = pytest.mark.usefixtures("ldap_driver")


def _version() -> str:
    try:
        return version("python-ldap")
    except PackageNotFoundError:
        return "0"


OPTIONS = TableOptions(utf8=True, paranoid=True)
PATIENCE_SECONDS = 60
BIND, UNBIND, SEARCH, EXTENDED = 0x60, 0x42, 0x63, 0x77
BIND_DONE, ENTRY, SEARCH_DONE, EXTENDED_DONE, REFERENCE = 0x61, 0x64, 0x65, 0x78, 0x73
_DRIVER = tuple(map(int, _version().split(".")[:3]))
SUCCESS, SIZE_LIMIT, REFERRAL, NO_SUCH_OBJECT, BUSY, OTHER = 0, 4, 10, 32, 51, 80


@pytest.fixture(name="ldap_driver")
def _ldap_driver():
    driver("ldap")


def ber(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes([tag, 0x84]) + len(content).to_bytes(4, "big") + content


def message(number: int, operation: bytes) -> bytes:
    return ber(0x30, bytes([2, 1, number]), operation)


def result(tag: int, code: int = SUCCESS, *more: bytes) -> bytes:
    return ber(tag, bytes([0x0A, 1, code]), ber(4), ber(4), *more)


def entry(*values: bytes, name: bytes = b"cn=x", attribute: bytes = b"street") -> bytes:
    found = ber(0x30, ber(4, attribute), ber(0x31, *(ber(4, one) for one in values)))
    return ber(ENTRY, ber(4, name), ber(0x30, found))


DONE = result(SEARCH_DONE)


def read_message(channel: Channel) -> tuple[int, int]:
    """The number of a message, and its kind."""
    head = channel.read(2)
    length = head[1]
    if length & 0x80:
        length = int.from_bytes(channel.read(length & 0x7F), "big")
    content = channel.read(length)
    return content[2], content[3]


def serving(answer: Callable[[Channel, int], None]) -> Script:
    """A server that lets anyone in, and answers searches so."""

    def script(channel: Channel) -> None:
        while True:
            number, kind = read_message(channel)
            if kind == BIND:
                channel.send(message(number, result(BIND_DONE)))
            elif kind == SEARCH:
                answer(channel, number)
            elif kind == UNBIND:
                return

    return script


def sending(*operations: bytes) -> Script:
    def answer(channel: Channel, number: int) -> None:
        channel.send(b"".join(message(number, one) for one in operations))

    return serving(answer)


@pytest.fixture
def ldap(cf_file):
    """Write the file that sets up a table; returns "ldap:/path"."""

    def make(server: Rogue, **parameters: str) -> str:
        settings = {
            "server_host": f"ldap://127.0.0.1:{server.port}",
            "version": "3",
            "timeout": "1",
            "bind_dn": "cn=reader",
            "bind_pw": SECRET,
            "search_base": "dc=example",
            "query_filter": "(mail=%s)",
            "result_attribute": "street",
            **parameters,
        }
        return f"ldap:{cf_file('rogue.cf', **settings)}"

    return make


@pytest.fixture
def ask(ldap):
    """Ask a server for a key."""

    def once(server: Rogue, key: bytes = b"user", **parameters: str) -> bytes | None:
        table = open_table(ldap(server, **parameters), OPTIONS)
        try:
            return table.lookup(key)
        finally:
            table.close()

    return once


def test_a_server_of_the_harness_is_understood(ask):
    with rogue(sending(entry(b"a/", b"b/"), entry(b"c/"), DONE)) as server:
        assert ask(server) == b"a/,b/,c/"


@pytest.mark.parametrize(
    "operations",
    [
        pytest.param([entry(b"a/")], id="no end"),
        pytest.param([entry(b"a/")[:-1]], id="half an entry"),
        pytest.param([ber(ENTRY, b"nonsense")], id="bad entry"),
        pytest.param([entry(b"a/", name=b"cn=\xff"), DONE], id="bad name"),
        pytest.param(
            [entry(b"a/", attribute=b"str\xff"), DONE],
            id="bad attribute",
            marks=pytest.mark.skipif(
                _DRIVER < (3, 4, 8), reason="python-ldap before 3.4.8 ends the process"
            ),
        ),
        pytest.param([ber(SEARCH_DONE)], id="bad end"),
        pytest.param([result(BIND_DONE)], id="another answer"),
        pytest.param([entry(b"a/"), result(SEARCH_DONE, SIZE_LIMIT)], id="size limit"),
        pytest.param([result(SEARCH_DONE, NO_SUCH_OBJECT)], id="no base"),
        pytest.param([result(SEARCH_DONE, BUSY)], id="busy"),
        pytest.param([result(SEARCH_DONE, OTHER)], id="other"),
        pytest.param([result(SEARCH_DONE, REFERRAL)], id="referral to nowhere"),
    ],
)
def test_a_broken_answer_is_an_error(ask, logged, operations):
    def once(channel: Channel, number: int) -> None:
        channel.send(b"".join(message(number, one) for one in operations))
        raise EOFError

    with rogue(serving(once)) as server, pytest.raises(TableError):
        ask(server)
    assert SECRET not in "".join(logged.take())


@pytest.mark.parametrize(
    "answer",
    [b"", b"0", b"0\x84\xff\xff\xff\xff", b"0\x80", b"0\x89" + b"\1" * 9, b"HTTP/1.1 "],
)
def test_nonsense_is_an_error(ask, logged, answer):
    def once(channel: Channel, _number: int) -> None:
        channel.send(answer)
        raise EOFError

    with rogue(serving(once)) as server, pytest.raises(TableError):
        ask(server)


@pytest.mark.parametrize("code", [SUCCESS, 2, 53])
def test_the_password_is_not_sent_without_the_tls_that_is_asked_for(ask, logged, code):
    """The server refuses STARTTLS, or goes on without it."""

    def script(channel: Channel) -> None:
        number, _ = read_message(channel)
        channel.send(message(number, result(EXTENDED_DONE, code)))
        channel.send(message(number + 1, result(BIND_DONE)))
        while True:
            channel.read(1)

    with rogue(script) as server, pytest.raises(TableError, match="Unable to bind"):
        ask(server, start_tls="yes")
    assert SECRET.encode() not in server.heard
    assert SECRET not in "".join(logged.take())


@pytest.mark.parametrize(
    ("authority", "is_sent"), [("ca.pem", True), ("other-ca.pem", False)]
)
def test_the_password_is_not_sent_to_a_server_with_a_wrong_certificate(
    ask, logged, tmp_path, authority, is_sent
):
    make_certificates(tmp_path, "IP:127.0.0.1")

    def script(channel: Channel) -> None:
        number, _ = read_message(channel)
        channel.send(message(number, result(EXTENDED_DONE)))
        channel.start_tls(tmp_path)
        serving(lambda channel, number: channel.send(message(number, DONE)))(channel)

    with rogue(script) as server:
        try:
            ask(
                server,
                start_tls="yes",
                tls_require_cert="yes",
                tls_ca_cert_file=f"{tmp_path}/{authority}",
            )
        except TableError:
            assert not is_sent
    assert (SECRET.encode() in server.heard) == is_sent


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", [b"PLAIN", b"LOGIN", b"CRAM-MD5"])
def test_sasl_does_not_show_the_password(ask, logged, mechanism):
    """Whatever mechanism the server wants."""

    def script(channel: Channel) -> None:
        while True:
            number, kind = read_message(channel)
            if kind == SEARCH:
                found = entry(mechanism, attribute=b"supportedSASLMechanisms")
                channel.send(message(number, found) + message(number, DONE))
            elif kind == BIND:
                channel.send(
                    message(number, result(BIND_DONE, 14, ber(0x87, b"<1@x>")))
                )

    with rogue(script) as server, pytest.raises(TableError):
        ask(server, bind="sasl")
    assert SECRET.encode() not in server.heard


@pytest.mark.parametrize("chase", ["yes", "no"])
@pytest.mark.parametrize("kind", ["referral", "reference"])
def test_a_password_does_not_follow_a_referral(ask, logged, chase, kind):
    with rogue(sending(entry(b"evil/"), DONE)) as elsewhere:
        url = ber(4, f"ldap://127.0.0.1:{elsewhere.port}/dc=example".encode())
        operations = {
            "referral": [result(SEARCH_DONE, REFERRAL, ber(0xA3, url))],
            "reference": [ber(REFERENCE, url), DONE],
        }
        with rogue(sending(*operations[kind])) as server:
            try:
                found = ask(server, chase_referrals=chase)
            except TableError:
                found = b"error"
    expected = {"referral": b"error", "reference": None}[kind]
    assert found == (b"evil/" if chase == "yes" else expected)
    assert bool(elsewhere.connections) == (chase == "yes")
    assert SECRET.encode() not in elsewhere.heard


@pytest.mark.parametrize("kind", ["referral", "reference"])
@pytest.mark.parametrize("host", ["127.0.0.1:1", "127.0.0.1:9999999"])
def test_a_referral_to_a_server_that_is_down_is_an_error(ask, logged, kind, host):
    """A part of the directory was not searched: the key may be there."""
    url = ber(4, f"ldap://{host}/dc=example".encode())
    operations = {
        "referral": [result(SEARCH_DONE, REFERRAL, ber(0xA3, url))],
        "reference": [ber(REFERENCE, url), DONE],
    }
    with rogue(sending(*operations[kind])) as server, pytest.raises(TableError):
        ask(server, chase_referrals="yes")


def test_what_is_found_needs_no_other_server(ask, logged):
    url = ber(4, b"ldap://127.0.0.1:1/dc=example")
    with rogue(sending(ber(REFERENCE, url), entry(b"a/"), DONE)) as server:
        assert ask(server, chase_referrals="yes") == b"a/"


def test_what_is_nowhere_is_not_found(ask, logged):
    with rogue(sending(DONE)) as elsewhere:
        url = ber(4, f"ldap://127.0.0.1:{elsewhere.port}/dc=example".encode())
        with rogue(sending(ber(REFERENCE, url), DONE)) as server:
            assert ask(server, chase_referrals="yes") is None
    assert SECRET.encode() not in elsewhere.heard


@pytest.mark.parametrize(
    "operations",
    [
        pytest.param([entry(b"x" * (limits.MAX_ANSWER_BYTES + 1)), DONE], id="large"),
        pytest.param([entry(b"x" * (40 << 20)), DONE], id="huge"),
        pytest.param([entry(*[b"x/"] * 200_000), DONE], id="many values"),
        pytest.param([entry(b"", name=b"cn=x" * 20)] * 9000, id="endless entries"),
    ],
)
def test_an_answer_that_is_too_large_is_an_error(ask, logged, operations):
    with rogue(sending(*operations)) as server:
        with pytest.raises(TableError, match="larger than 262144 bytes"):
            ask(server, timeout="10")
        assert server.connections == 1


def test_an_entry_that_does_not_end_is_given_up(ask, logged):
    """As soon as it is too large, and not only when all of it has come."""
    gigabyte = entry(b"x" * 1000).replace(b"\x84\0\0", b"\x84\x3f\xff")

    def endless(channel: Channel, number: int) -> None:
        channel.send(message(number, b"").replace(b"\x84\0\0", b"\x84\x3f\xff"))
        channel.send(gigabyte)
        while True:
            channel.send(b"x" * (1 << 20))

    refusal = pytest.raises(TableError, match="larger than 262144 bytes")
    with rogue(serving(endless)) as server, refusal:
        ask(server, timeout="60")


def growing(channel: Channel, number: int) -> None:
    """Each entry leads to two others, thirty times; the name says how often."""
    level = int((re.findall(rb"ou=(\d+)", channel.last) or [b"0"])[0])
    if level < 30:
        links = [b"cn=%b,ou=%d" % (one, level + 1) for one in (b"a", b"b")]
        channel.send(message(number, entry(*links, attribute=b"seealso")))
    channel.send(message(number, DONE))


def test_entries_that_lead_to_more_and_more_have_a_time_limit(ask, logged, monkeypatch):
    monkeypatch.setattr("postvirt.tables.databases.ldap.ANSWER_SECONDS", 0.3)
    refusal = pytest.raises(TableError, match=r"[Tt]imed out")
    with rogue(serving(growing)) as server, refusal:
        ask(server, special_result_attribute="seealso")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda channel, _: channel.stay(), id="silent"),
        pytest.param(
            lambda channel, number: channel.drip(message(number, entry(b"x" * 999))),
            id="one entry",
        ),
        pytest.param(
            lambda channel, number: channel.drip(message(number, entry(b"x/")) * 99),
            id="entries",
        ),
    ],
)
def test_the_whole_of_an_answer_has_one_time_limit(ask, logged, monkeypatch, answer):
    monkeypatch.setattr("postvirt.tables.databases.ldap.ANSWER_SECONDS", 0.3)
    refusal = pytest.raises(TableError, match=r"[Tt]imed out")
    began = time.monotonic()
    with rogue(serving(answer)) as server, refusal:
        ask(server)
    assert time.monotonic() - began < limits.CONNECT_SECONDS


def silent_in_tls(channel: Channel) -> None:
    number, _ = read_message(channel)
    channel.send(message(number, result(EXTENDED_DONE)))
    channel.stay()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "parameters"),
    [
        (Channel.stay, {}),
        (lambda channel: channel.drip(bytes(9999)), {}),
        (Channel.stay, {"start_tls": "yes"}),
        (Channel.stay, {"bind": "sasl"}),
        (silent_in_tls, {"start_tls": "yes"}),
        (Channel.stay, {"server_host": "ldaps://127.0.0.1:{port}"}),
    ],
)
def test_a_server_that_does_not_let_in_has_a_time_limit(
    ask, logged, script, parameters
):
    began = time.monotonic()
    with rogue(script) as server:
        settings = {
            name: value.format(port=server.port) for name, value in parameters.items()
        }
        with pytest.raises(TableError, match="Unable to bind"):
            ask(server, **settings)
    assert time.monotonic() - began < limits.CONNECT_SECONDS


@pytest.mark.slow
def test_while_the_handshake_hangs_lookups_fail_at_once(ldap, logged):
    """And after that, the server is asked again."""
    is_over = threading.Event()

    def script(channel: Channel) -> None:
        is_over.wait(PATIENCE_SECONDS)

    with rogue(script) as server:
        address = f"ldaps://127.0.0.1:{server.port}"
        table = open_table(ldap(server, server_host=address), OPTIONS)
        for _ in range(3):
            with pytest.raises(TableError, match=r"[Tt]imed out"):
                table.lookup(b"user")
        # OpenSSL gives up by itself, and each lookup tries again.
        module = driver("ldap")
        gives_up = module.get_option(module.OPT_X_TLS_PACKAGE) == "OpenSSL"
        assert server.connections <= (3 if gives_up else 1)
        is_over.set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "imed out" in problem_of(table):
            assert time.monotonic() < deadline
        table.close()


def problem_of(table: Table) -> str:
    with pytest.raises(TableError) as error:
        table.lookup(b"user")
    return str(error.value)
