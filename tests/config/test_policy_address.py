"""Addresses of the policy service."""

from __future__ import annotations

import pytest

from postvirt.config.metrics_address import LoopbackAddress
from postvirt.config.policy_address import policy_address


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("unix:private/postvirt-quota", "postvirt-quota"),
        ("unix:private/" + "x" * 80, "x" * 80),
        ("inet:127.0.0.1:10031", LoopbackAddress("127.0.0.1", 10_031, False)),
        ("inet:[::1]:1", LoopbackAddress("::1", 1, True)),
    ],
)
def test_addresses(value: str, address: object) -> None:
    assert policy_address(value) == address


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("unix:private/", "expected a file name after unix:private/"),
        ("unix:private/a/b", "expected a file name after unix:private/"),
        ("unix:private/../a", "expected a file name after unix:private/"),
        ("unix:private/..", "expected a file name after unix:private/"),
        ("unix:private/a\0", "expected a file name after unix:private/"),
        ("unix:private/" + "x" * 81, "the name has more than 80 bytes"),
        ("unix:/run/quota", "expected unix:private/NAME or inet:ADDRESS:PORT"),
        ("unix:public/quota", "expected unix:private/NAME or inet:ADDRESS:PORT"),
        ("inet:/run/quota", "expected unix:private/NAME or inet:ADDRESS:PORT"),
        ("127.0.0.1:10031", "expected unix:private/NAME or inet:ADDRESS:PORT"),
        ("inet:192.0.2.1:25", "192.0.2.1 is not a loopback address"),
        ("inet:localhost:25", "the host must be an address, not a name"),
        ("inet:127.0.0.1:0", "the port must be between 1 and 65535"),
    ],
)
def test_what_is_refused(value: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as refusal:
        policy_address(value)
    assert str(refusal.value) == why
