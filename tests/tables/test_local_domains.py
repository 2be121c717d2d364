"""Which domains are local, against the genuine resolve_local()."""

from __future__ import annotations

import random
import subprocess

import pytest

from postvirt.config import networks
from postvirt.errors import TableError
from postvirt.system.interfaces import own_networks
from postvirt.tables.local_domains import LocalDomains
from tests.harness.effort import steps_of
from tests.harness.installed_postfix import in_our_words
from tests.harness.tables import open_tables

DOMAINS = [
    b"dest.test",
    b"DEST.test",
    b"dest.test.",
    b"dest.test..",
    b".",
    b"",
    b"other.test",
    b"[127.0.0.1]",
    b"[127.0.0.1].",
    b"[127.0.0.2]",
    b"[127.0.0]",
    b"[::1]",
    b"[IPv6:::1]",
    b"[ipv6:0:0::1]",
    b"[IPv6:127.0.0.1]",
    b"[1.2.3.4]",
    b"[0.0.0.0]",
    b"[]",
    b"[",
    b"]",
    b"[1.2.3.4",
    b"[\xff]",
    "[IPv6:é]".encode(),
]
SETTINGS = (
    {"inet_interfaces": "all"},
    {"inet_interfaces": "loopback-only"},
    {"inet_interfaces": "127.0.0.1"},
    {"inet_interfaces": "localhost, 127.0.0.1"},
    {"inet_interfaces": "127.0.0.1", "proxy_interfaces": "1.2.3.4 [::1]"},
    {"inet_interfaces": "all", "mydestination": ""},
    {"inet_interfaces": "all", "inet_protocols": "ipv4"},
    {"inet_interfaces": "all", "inet_protocols": "ipv6"},
    {"proxy_interfaces": "1.2.3.4", "inet_protocols": "ipv4"},
    {"inet_interfaces": "all", "mydestination": "inline:{dest.test=x}, !other.test"},
)


def make(**parameters: str) -> LocalDomains:
    settings = {
        "myorigin": "origin.test",
        "mydestination": "Dest.test",
        "inet_interfaces": "all",
        "proxy_interfaces": "",
    } | parameters
    return LocalDomains(**settings, utf8=True, opened=open_tables())


@pytest.mark.postfix
@pytest.mark.parametrize("setting", SETTINGS)
def test_domains_are_local_as_in_postfix(postfix, setting):
    postfix.configure(**{"mydestination": "Dest.test"} | setting)
    expected, _ = postfix.ask("local", DOMAINS)
    local = make(**setting)
    assert [local.is_local(domain) for domain in DOMAINS] == [
        result == 1 for result in expected
    ]


LITERALS = [
    *(b"127.0.0.01", b"0177.0.0.1", b"177.0.0.1", b"127.0.0.08", b"127.0.0.1 "),
    *(b"127.1", b"0.0.0.1", b"00.0.0.0", b".127.0.0.1", b"127.0.0.1.", b"1..2.3"),
    *(b"127.0.0.256", b"1.2.3.4.5", b"\xb2.0.0.1", b"0" * 5000 + b"1.0.0.0"),
    *(b"IPv6:" + b"1:" * 8, b"IPv6::", b"IPv6:1", b"IPv6:::", b"IPv6:::ffff:1.2.3"),
    *(b"IPv6:::ffff:127.0.0.1", b"IPv6:00001::", b"IPv6:1:2:3:4:5:6:7", b"IPv6"),
    *(
        b"IPv6:::1",
        b"IPV6:::1%lo",
        b"IPv6:",
        b"IPv6::1",
        b"IPv6:1:",
        b"IPv6:1::2::3",
        b"IPv6:g::",
    ),
]


def _random_literals() -> list[bytes]:
    chance = random.Random(1)
    pieces = [b"127", b"0", b"1", b"01", b"256", b".", b".", b":", b"::", b"ffff", b"x"]
    families = [b"", b"IPv6:", b"ipv6:", b"IPv6:::", b"127.0.", b"IPv6:0:0:0:0:0:"]
    return [
        chance.choice(families)
        + b"".join(chance.choices(pieces, k=chance.randint(1, 9)))
        for _ in range(2000)
    ]


@pytest.mark.postfix
@pytest.mark.parametrize("protocols", ["all", "ipv4", "ipv6"])
def test_address_literals_are_read_as_in_postfix(postfix, logged, protocols):
    setting = {"inet_interfaces": "all", "inet_protocols": protocols}
    if protocols != "ipv6":
        setting["proxy_interfaces"] = "1.0.0.0"
    postfix.configure(mydestination="", **setting)
    domains = [b"[" + one + b"]" for one in (*LITERALS, *_random_literals())]
    expected, lines = postfix.ask("local", domains)
    local = make(mydestination="", **setting)
    found = [int(local.is_local(domain)) for domain in domains]
    assert dict(zip(domains, found, strict=True)) == dict(
        zip(domains, expected, strict=True)
    )
    # The end of the line that Postfix 3.7 writes as "?".
    ours = [line.removesuffix("?") for line in logged.take()]
    assert ours == [in_our_words(line).removesuffix("?") for line in lines]
    assert 0 < sum(expected) < len(domains)


@pytest.mark.postfix
def test_own_addresses_are_those_that_postfix_finds(postfix):
    found = {network.address for network in own_networks()}
    literals = []
    for address in found:
        family = "socket.AF_INET" if len(address) == 4 else "socket.AF_INET6"
        prefix = "" if len(address) == 4 else "IPv6:"
        import socket

        shown = socket.inet_ntop(getattr(socket, family.partition(".")[2]), address)
        literals.append(f"[{prefix}{shown}]".encode())
    postfix.configure(inet_interfaces="all", mydestination="")
    expected, _ = postfix.ask("local", literals)
    assert expected == [1] * len(found)


@pytest.mark.postfix
@pytest.mark.parametrize("value", ["dest.test #a,  b", "dest.test #", "{file}, x.test"])
def test_comments_are_logged_as_in_postfix(postfix, logged, text_table, value):
    value = value.format(file=text_table(b"dest.test # x, y\nx.test\n"))
    postfix.configure(mydestination=value)
    domains = [b"dest.test", b"x.test", b"a", b"b", b"y"]
    expected, lines = postfix.ask("local", domains)
    local = make(mydestination=value)
    assert [int(local.is_local(domain)) for domain in domains] == expected
    # The end of the line that Postfix 3.7 writes as "?".
    ours = [line.removesuffix("?") for line in logged.take()]
    assert ours == [in_our_words(line).removesuffix("?") for line in lines]


def test_myorigin_is_local():
    assert make().is_local(b"ORIGIN.test")


def test_a_table_that_fails_is_an_error(logged):
    with pytest.raises(TableError):
        make(mydestination="hash:/none").is_local(b"x.test")


def test_nothing_is_opened_before_it_is_needed(logged):
    local = make(mydestination="hash:/none", inet_interfaces="no.such.invalid")
    assert local.is_local(b"origin.test")
    assert logged.take() == []


def test_a_host_that_cannot_be_found_is_an_error(monkeypatch, logged):
    def fail(host: str) -> frozenset[bytes]:
        raise OSError(2, "Name or service not known")

    monkeypatch.setattr(networks, "host_addresses", fail)
    local = make(inet_interfaces="mail.invalid")
    with pytest.raises(TableError):
        local.is_local(b"[1.2.3.4]")
    assert logged.take()[0] == (
        "warning: config variable inet_interfaces: host not found: mail.invalid"
    )


@pytest.mark.postfix
def test_an_interface_that_this_machine_does_not_have_is_an_error(logged, tmp_path):
    """Postfix programs end with the same text; here the lookup fails."""
    (tmp_path / "main.cf").write_text("inet_interfaces = 192.0.2.254\n")
    done = subprocess.run(
        ["postconf", "-c", tmp_path, "-n"], capture_output=True, check=False
    )
    local = make(inet_interfaces="192.0.2.254")
    with pytest.raises(TableError):
        local.is_local(b"[1.2.3.4]")
    text = logged.take()[0].removeprefix("warning: ")
    assert done.stderr.decode().splitlines()[-1] == f"postconf: fatal: {text}"


def test_many_local_domains_are_read_before_a_process_forks():
    def first_question(count):
        local = make(mydestination=" ".join(f"a{n}.test" for n in range(count)))
        return steps_of(lambda: local.is_local(b"other.test"))

    assert first_question(10_000) == first_question(10)


def test_a_domain_that_was_asked_for_is_known():
    local = make(mydestination="dest.test")
    first = steps_of(lambda: local.is_local(b"other.test"))
    assert 2 * steps_of(lambda: local.is_local(b"other.test")) < first
    # As many domains as somebody sends mail for do not fill the memory.
    for number in range(1000):
        assert not local.is_local(b"a%d.test" % number)
    assert steps_of(lambda: local.is_local(b"other.test")) >= first
    assert local.is_local(b"dest.test")


def test_a_table_is_asked_each_time(monkeypatch):
    local = make(mydestination="environ:all")
    assert not local.is_local(b"dest.test")
    monkeypatch.setenv("dest.test", "x")
    assert local.is_local(b"dest.test")


def test_a_warning_about_an_address_comes_each_time(logged):
    local = make()
    for _ in range(2):
        assert not local.is_local(b"[1.2.3.400]")
        assert len(logged.take()) == 1
