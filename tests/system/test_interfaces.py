"""The machine's own addresses."""

from __future__ import annotations

import socket

import pytest

from postvirt.system.interfaces import host_addresses, is_loopback, own_networks

LOOPBACK = socket.inet_pton(socket.AF_INET, "127.0.0.1")
LOOPBACK6 = socket.inet_pton(socket.AF_INET6, "::1")


def test_the_loopback_address_is_an_own_address():
    assert LOOPBACK in {network.address for network in own_networks()}


def test_every_own_address_can_be_bound_to():
    for address in {network.address for network in own_networks()}:
        if len(address) == 4:
            with socket.socket(socket.AF_INET) as probe:
                probe.bind((socket.inet_ntop(socket.AF_INET, address), 0))


@pytest.mark.parametrize("host", ["127.0.0.1", "[127.0.0.1]"])
def test_an_address_is_its_own_host(host):
    assert host_addresses(host) == {LOOPBACK}


def test_an_ipv6_address_may_stand_in_brackets():
    assert host_addresses("[::1]") == {LOOPBACK6}


def test_what_is_no_host_is_an_error():
    with pytest.raises(FileNotFoundError):
        host_addresses("not a host name")


def test_loopback_addresses_are_known():
    assert is_loopback(LOOPBACK)
    assert is_loopback(LOOPBACK6)
    assert not is_loopback(socket.inet_pton(socket.AF_INET, "192.0.2.1"))
    assert not is_loopback(socket.inet_pton(socket.AF_INET6, "::2"))
