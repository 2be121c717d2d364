"""The value of postvirt_metrics_address.

    127.0.0.1:9154    [::1]:9154    unix:/run/postvirt-metrics    /run/postvirt-metrics

Only an address that this machine alone can reach is accepted. To read the metrics from
elsewhere, put a proxy in front, with encryption and authentication of your choice.

Raises: ValueError with what is wrong.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_HOST_AND_PORT = re.compile(r"(?:\[([^]]*)\]|([^][:]*)):([0-9]{1,5})\Z")
_UNIX = "unix:"

# sockaddr_un has this much room for a path, with the zero byte at its end.
_MOST_PATH_BYTES = 107


class LoopbackAddress(NamedTuple):
    """A port of an address that only this machine has."""

    host: str
    port: int
    is_ipv6: bool


class UnixAddress(NamedTuple):
    """A socket in the file system."""

    path: str


def metrics_address(value: str) -> LoopbackAddress | UnixAddress:
    """The address that the value, which is not empty, means."""
    path = value.removeprefix(_UNIX)
    if value.startswith(("/", _UNIX)):
        if not path.startswith("/"):
            raise ValueError("the path of the socket must begin with /")
        if len(path.encode("utf-8", "surrogateescape")) > _MOST_PATH_BYTES:
            raise ValueError(f"the path has more than {_MOST_PATH_BYTES} bytes")
        return UnixAddress(path)
    from ipaddress import IPv6Address, ip_address

    match = _HOST_AND_PORT.match(value)
    if match is None:
        raise ValueError("expected ADDRESS:PORT or a path")
    bracketed, plain, port = match[1], match[2], int(match[3])
    try:
        host = ip_address(plain if bracketed is None else bracketed)
    except ValueError:
        raise ValueError("the host must be an address, not a name") from None
    is_ipv6 = isinstance(host, IPv6Address)
    if is_ipv6 != (bracketed is not None):
        raise ValueError("write [ ] around an IPv6 address, and only there")
    if not host.is_loopback:
        raise ValueError(f"{host} is not a loopback address")
    if not 0 < port < 65_536:
        raise ValueError("the port must be between 1 and 65535")
    return LoopbackAddress(str(host), port, is_ipv6)
