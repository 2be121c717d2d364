"""The network addresses that inet_interfaces and proxy_interfaces mean.

They come from the system. virtual(8) does not use mynetworks, whose default depends on
these addresses; it is here for `postvirt config`.

Parity: src/global/own_inet_addr.c, src/global/mynetworks.c.
Raises: ConfigError with the text that Postfix calls fatal.
"""

from __future__ import annotations

import socket
from collections.abc import Collection

from postvirt.config.lists import words
from postvirt.errors import ConfigError
from postvirt.system.interfaces import (
    Address,
    Network,
    host_addresses,
    is_loopback,
    own_networks,
)

_STYLES = ("class", "subnet", "host")
# The first bytes below which a class of IPv4 networks ends, and the bits of the class.
_CLASSES = ((128, 8), (192, 16), (224, 24), (240, 28))


def default_mynetworks(style: str, interfaces: str, protocols: str) -> str:
    """The text of the default.

    style        mynetworks_style, expanded as the other two
    interfaces   inet_interfaces
    protocols    inet_protocols
    Raises: ConfigError.
    """
    sizes = address_sizes(protocols)
    if not sizes:
        return ""
    styles = words(style)
    for word in styles:
        if word not in _STYLES:
            raise ConfigError(
                f'unknown mynetworks mask style value "{word}" in "{style}"'
            )
    if len(set(styles)) != 1:
        message = f"bad mynetworks_style value: {style}; specify exactly one value"
        raise ConfigError(message)
    shown = [
        _shown(network, styles[0]) for network in own_interfaces(interfaces, sizes)
    ]
    # A blank follows each of them, also the last: within another value it remains.
    return "".join(f"{one} " for one in dict.fromkeys(shown))


def address_sizes(protocols: str) -> frozenset[int]:
    """The bytes of the addresses that inet_protocols allows.

    Raises: ConfigError.
    """
    sizes = {"ipv4": {4}, "ipv6": {16}, "all": {4, 16}}
    found: set[int] = set()
    for word in words(protocols):
        if word not in sizes:
            message = f'unknown inet_protocols value "{word}" in "{protocols}"'
            raise ConfigError(message)
        found |= sizes[word]
    return frozenset(found)


def own_interfaces(interfaces: str, sizes: Collection[int]) -> list[Network]:
    """The addresses of this machine that inet_interfaces means.

    sizes   as of `address_sizes`
    Raises: ConfigError.
    """
    if not sizes:
        return []
    own = [one for one in own_networks() if len(one.address) in sizes]
    if interfaces == "all":
        return own
    if interfaces == "loopback-only":
        return [one for one in own if is_loopback(one.address)]
    by_address = {one.address: one for one in own}
    found = []
    for address in listed_addresses("inet_interfaces", interfaces, sizes):
        if address not in by_address:
            message = "parameter inet_interfaces: no local interface found for"
            raise ConfigError(f"{message} {_text(address)}")
        found.append(by_address[address])
    return found


def listed_addresses(
    parameter: str, value: str, sizes: Collection[int]
) -> list[Address]:
    """The addresses of all hosts in a list.

    Raises: ConfigError.
    """
    found: list[Address] = []
    for host in words(value):
        try:
            addresses = [a for a in host_addresses(host) if len(a) in sizes]
        except OSError:
            addresses = []
        if not addresses:
            message = f"config variable {parameter}: host not found: {host}"
            raise ConfigError(message)
        found += addresses
    return found


def _shown(network: Network, style: str) -> str:
    size = len(network.address)
    bits = network.bits
    if style == "host":
        bits = 8 * size
    elif style == "class" and size == 4:
        first = network.address[0]
        bits = next((length for end, length in _CLASSES if first < end), bits)
    host_bits = 8 * size - bits
    number = int.from_bytes(network.address, "big") >> host_bits << host_bits
    address = _text(number.to_bytes(size, "big"))
    return f"[{address}]/{bits}" if size > 4 else f"{address}/{bits}"


def _text(address: Address) -> str:
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, address)
