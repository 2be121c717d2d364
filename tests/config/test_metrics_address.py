from __future__ import annotations

import pytest

from postvirt.config.metrics_address import (
    LoopbackAddress,
    UnixAddress,
    metrics_address,
)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("127.0.0.1:9154", LoopbackAddress("127.0.0.1", 9154, False)),
        ("127.1.2.3:1", LoopbackAddress("127.1.2.3", 1, False)),
        ("[::1]:65535", LoopbackAddress("::1", 65_535, True)),
        ("unix:/run/postvirt", UnixAddress("/run/postvirt")),
        ("/run/a:1", UnixAddress("/run/a:1")),
        ("/" + "x" * 106, UnixAddress("/" + "x" * 106)),
    ],
)
def test_addresses_that_only_this_machine_can_reach(value: str, address) -> None:
    assert metrics_address(value) == address


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("0.0.0.0:9154", "0.0.0.0 is not a loopback address"),
        ("192.0.2.1:9154", "192.0.2.1 is not a loopback address"),
        ("[::]:9154", ":: is not a loopback address"),
        ("[::ffff:192.0.2.1]:1", "is not a loopback address"),
        ("localhost:9154", "the host must be an address, not a name"),
        ("[localhost]:9154", "the host must be an address, not a name"),
        (":9154", "the host must be an address, not a name"),
        ("::1:9154", "expected ADDRESS:PORT or a path"),
        ("9154", "expected ADDRESS:PORT or a path"),
        ("127.0.0.1", "expected ADDRESS:PORT or a path"),
        ("127.0.0.1:1 x", "expected ADDRESS:PORT or a path"),
        ("[127.0.0.1]:9154", "write [ ] around an IPv6 address, and only there"),
        ("127.0.0.1:0", "the port must be between 1 and 65535"),
        ("127.0.0.1:65536", "the port must be between 1 and 65535"),
        ("unix:run/postvirt", "the path of the socket must begin with /"),
        ("/" + "x" * 107, "the path has more than 107 bytes"),
    ],
)
def test_what_is_refused(value: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as refusal:
        metrics_address(value)
    assert why in str(refusal.value)
