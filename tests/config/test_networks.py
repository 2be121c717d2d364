"""The addresses that inet_interfaces means, and the default of mynetworks."""

import pytest

from postvirt.config import networks
from postvirt.config.networks import (
    address_sizes,
    default_mynetworks,
    listed_addresses,
    own_interfaces,
)
from postvirt.errors import ConfigError
from postvirt.system.interfaces import Network

LOOPBACK = Network(b"\x7f\0\0\1", 8)
LOOPBACK_6 = Network(bytes(15) + b"\1", 128)
HOST = Network(b"\xc0\0\2\x0a", 26)
HOST_6 = Network(b"\xfd" + bytes(14) + b"\7", 64)
OWN = (LOOPBACK, HOST, LOOPBACK_6, HOST_6)

ANY = frozenset({4, 16})

_ASKED = ["-x", "mynetworks", "relay_domains"]
SETTINGS = [
    {},
    *({"mynetworks_style": style} for style in ("host", "class", "Host")),
    {"inet_protocols": "ipv4"},
    {"inet_protocols": "ipv6", "mynetworks_style": "host"},
    {"inet_protocols": ""},
    {"inet_interfaces": "loopback-only"},
    {"inet_interfaces": "127.0.0.1"},
    {"inet_interfaces": "a..b"},
    {"inet_interfaces": "192.0.2.254"},
    {"inet_interfaces": "127.0.0.1", "inet_protocols": "ipv6"},
    {"mynetworks_style": ""},
    {"mynetworks_style": "host, class"},
    {"mynetworks_style": "world"},
    {"inet_protocols": "ipv5"},
    *(
        {"mynetworks_style": style, "relay_domains": "<$mynetworks>, x"}
        for style in ("host", "class", "subnet")
    ),
]


@pytest.fixture(autouse=True)
def machine(request, monkeypatch):
    """Another machine's addresses, except beside the genuine program."""
    if request.node.get_closest_marker("postfix") is None:
        monkeypatch.setattr(networks, "own_networks", lambda: OWN)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("host", "127.0.0.1/32 192.0.2.10/32 [::1]/128 [fd00::7]/128"),
        ("subnet", "127.0.0.0/8 192.0.2.0/26 [::1]/128 [fd00::]/64"),
        ("class", "127.0.0.0/8 192.0.2.0/24 [::1]/128 [fd00::]/64"),
    ],
)
def test_mynetworks_are_the_networks_of_the_machine(style, expected):
    assert default_mynetworks(style, "all", "all") == f"{expected} "


def test_the_same_network_is_named_once(monkeypatch):
    twin = Network(b"\xc0\0\2\x0b", 26)
    monkeypatch.setattr(networks, "own_networks", lambda: (HOST, twin))
    assert default_mynetworks("subnet", "all", "all") == "192.0.2.0/26 "


def test_the_interfaces_are_all_or_loopback_or_those_named():
    assert own_interfaces("all", {4}) == [LOOPBACK, HOST]
    assert own_interfaces("loopback-only", ANY) == [LOOPBACK, LOOPBACK_6]
    assert own_interfaces("192.0.2.10, [::1]", ANY) == [HOST, LOOPBACK_6]
    assert own_interfaces("nonsense", address_sizes("")) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "192.0.2.11",
            "parameter inet_interfaces: no local interface found for 192.0.2.11",
        ),
        (
            "fd00::8",
            "parameter inet_interfaces: no local interface found for fd00::8",
        ),
    ],
)
def test_an_interface_that_is_not_there_is_refused(value, message):
    with pytest.raises(ConfigError) as caught:
        own_interfaces(value, ANY)
    assert caught.value.text == message


def test_a_proxy_s_address_need_not_be_the_machine_s():
    assert listed_addresses("proxy_interfaces", "1.2.3.4", ANY) == [b"\1\2\3\4"]


def test_a_host_that_has_no_address_is_refused(monkeypatch):
    def fail(host: str) -> frozenset[bytes]:
        raise OSError(2, "Name or service not known")

    monkeypatch.setattr(networks, "host_addresses", fail)
    with pytest.raises(ConfigError) as caught:
        listed_addresses("proxy_interfaces", "a", ANY)
    assert caught.value.text == "config variable proxy_interfaces: host not found: a"


@pytest.mark.postfix
def test_postconf_makes_the_same_default_or_refuses_it(main_cf, both_listings):
    directories = [
        main_cf("".join(f"{name} = {value}\n" for name, value in setting.items()))
        for setting in SETTINGS
    ]
    for setting, (theirs, ours) in zip(
        SETTINGS, both_listings(directories, _ASKED), strict=True
    ):
        assert (setting, ours) == (setting, theirs)
