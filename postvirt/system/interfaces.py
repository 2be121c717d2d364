"""The network addresses of this machine.

Python has no getifaddrs(3), so the kernel is asked over netlink, as the C library does;
this needs no privileges. Interfaces that are down are ignored.

Parity: src/util/inet_addr_local.c, src/util/inet_addr_host.c.
Raises: OSError when the kernel does not answer, or a name cannot be resolved.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from postvirt.model.text import wire

# An address as from inet_pton(3): 4 bytes for IPv4, 16 for IPv6.
Address = bytes

# linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h, linux/if.h
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix, flags, scope, index
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_NEWLINK, _GETLINK, _NEWADDR, _GETADDR = 16, 18, 20, 22
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFF_UP = 1
# The kernel puts at most this much into one datagram of a dump.
_DATAGRAM_BYTES = 65536


def _dump(request: int, answer: int) -> Iterator[bytes]:
    """The bodies of all messages in the kernel's answer to a request."""
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as kernel:
        body = bytes(_LINK.size)  # family 0: all; long enough for both requests
        length = _HEADER.size + len(body)
        kernel.send(_HEADER.pack(length, request, _REQUEST_DUMP, 1, 0) + body)
        while True:
            datagram = kernel.recv(_DATAGRAM_BYTES)
            while datagram:
                length, kind, *_ = _HEADER.unpack_from(datagram)
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    (code,) = struct.unpack_from("=i", datagram, _HEADER.size)
                    raise OSError(-code, os.strerror(-code))
                if kind == answer:
                    yield datagram[_HEADER.size : length]
                datagram = datagram[_aligned(length) :]


def _aligned(length: int) -> int:
    return (length + 3) & ~3


class Network(NamedTuple):
    """An address, and the number of bits in the prefix of its network."""

    address: Address
    bits: int


def own_networks() -> tuple[Network, ...]:
    """The IPv4 and IPv6 addresses of all interfaces that are up, in kernel order."""
    up = set()
    for message in _dump(_GETLINK, _NEWLINK):
        _family, _type, index, flags, _change = _LINK.unpack_from(message)
        if flags & _IFF_UP:
            up.add(index)
    found = []
    for message in _dump(_GETADDR, _NEWADDR):
        family, prefix, _flags, _scope, index = _ADDRESS.unpack_from(message)
        if family not in (socket.AF_INET, socket.AF_INET6) or index not in up:
            continue
        attributes = _attributes(message[_ADDRESS.size :])
        # On a point-to-point link, IFA_ADDRESS is the other end.
        address = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
        if address and any(address):
            found.append(Network(address, prefix))
    return tuple(found)


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        found[kind] = data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]
    return found


def host_addresses(host: str) -> frozenset[Address]:
    """The addresses of a host name or of an address, which may be in [brackets]."""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        # As bytes, because Python imports a codec to encode a host name that is text.
        answers = socket.getaddrinfo(wire(host), None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(errno.ENOENT, error.strerror) from None
    return frozenset(
        socket.inet_pton(family, str(place[0]).split("%", 1)[0])
        for family, _type, _protocol, _name, place in answers
    )


def is_loopback(address: Address) -> bool:
    """Whether it is in 127.0.0.0/8 or is ::1."""
    return address[:1] == b"\x7f" if len(address) == 4 else address == bytes(15) + b"\1"
