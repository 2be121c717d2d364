"""Numeric addresses; tests/tables/test_local_domains.py asks the genuine libraries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.codec.host_address import ipv4_problem, ipv6_problem
from tests.harness.decoding import fuzzed


@pytest.mark.parametrize("address", [b"192.0.2.1", b"0.0.0.0", b"127.0.0.01"])
def test_ipv4_addresses_have_four_octets(address):
    assert ipv4_problem(address) == ""


@pytest.mark.parametrize(
    "address", [b"::", b"::1", b"2001:db8::1", b"1:2:3:4:5:6:7:8", b"::ffff:192.0.2.1"]
)
def test_ipv6_addresses_have_eight_fields_or_a_gap(address):
    assert ipv6_problem(address) == ""


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (b"", "invalid octet count"),
        (b"1.2.3", "invalid octet count"),
        (b"1.2.3.4.5", "invalid octet count"),
        (b"1.2.3.256", "invalid octet value"),
        (b"0.1.2.3", "bad initial octet value"),
        (b".1.2.3", "misplaced dot"),
        (b"1..2.3", "misplaced dot"),
        (b"1.2.3.4.", "misplaced dot"),
        (b"1.2.3.x", "invalid character 120(decimal)"),
        (b"\xb2.2.3.4", "invalid character 178(decimal)"),
    ],
)
def test_what_is_wrong_with_an_ipv4_address(address, problem):
    shown = address.decode("utf-8", "surrogateescape")
    assert ipv4_problem(address) == f"valid_ipv4_hostaddr: {problem}: {shown}"


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (b"", "too few `:'"),
        (b"1:", "too few `:'"),
        (b"1:2:", "bad null last field"),
        (b":1:2", "bad null first field"),
        (b"1:2:3:4:5:6:7:8:9", "too many `:'"),
        (b"1::2::3", "too many `::'"),
        (b"1:2.3.4.5", "malformed IPv4-in-IPv6 address"),
        (b"12345::", "malformed IPv6 address"),
        (b"::g", "invalid character 103(decimal)"),
    ],
)
def test_what_is_wrong_with_an_ipv6_address(address, problem):
    if "malformed" not in problem:
        problem += " in IPv6 address"
    assert (
        ipv6_problem(address) == f"valid_ipv6_hostaddr: {problem}: {address.decode()}"
    )


def test_a_long_address_is_shown_in_part():
    assert ipv4_problem(b"x" * 500).endswith(": " + "x" * 100)


@given(st.text("0123456789abcdef.:gx\xff", max_size=60))
@fuzzed
def test_any_bytes_have_an_answer(address):
    data = address.encode("latin-1")
    assert isinstance(ipv4_problem(data) + ipv6_problem(data), str)
