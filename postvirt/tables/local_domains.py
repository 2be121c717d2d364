"""Whether this machine is a domain's final destination.

Such a domain is myorigin, is in mydestination, or is the address of one of this
machine's interfaces in [brackets].

Parity: src/global/resolve_local.c.
Differs: Unknown interfaces. An address in inet_interfaces that this machine does not
    have makes lookups that need it fail, and the mail is deferred; virtual(8) ends its
    process.
Raises: TableError if that cannot be determined.
"""

from __future__ import annotations

import socket

from postvirt.codec.host_address import ipv4_problem, ipv6_problem
from postvirt.config.networks import address_sizes, listed_addresses, own_interfaces
from postvirt.errors import ConfigError, TableError
from postvirt.model.text import wire
from postvirt.system import log
from postvirt.system.interfaces import Address
from postvirt.tables.folding import fold
from postvirt.tables.match_list import MatchList, is_plain
from postvirt.tables.open_tables import OpenTables

# Mail for unknown users has few domains, and each of them is asked for often.
_MOST_KNOWN = 100
_IPV6_PREFIX = b"ipv6:"
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


class LocalDomains:
    """The local domains by these parameters, which are given as text.

    Nothing is opened or looked up before it is first needed. A list without tables and
    files is read at once, so that workers need not do that.
    """

    def __init__(
        self,
        *,
        myorigin: str,
        mydestination: str,
        inet_interfaces: str,
        proxy_interfaces: str,
        utf8: bool,
        opened: OpenTables,
        inet_protocols: str = "all",
    ) -> None:
        self._myorigin = fold(wire(myorigin), utf8=utf8)
        self._mydestination = mydestination
        self._inet_interfaces = inet_interfaces
        self._proxy_interfaces = proxy_interfaces
        self._inet_protocols = inet_protocols
        self._utf8 = utf8
        self._opened = opened
        self._destinations = self._list() if is_plain(mydestination) else None
        self._addresses: frozenset[Address] | None = None
        self._known: dict[bytes, bool] | None = None
        if self._destinations is not None:  # a table may say something else next time
            self._known = {}

    def is_local(self, domain: bytes) -> bool:
        """Whether the domain is local; one dot at its end is ignored."""
        # A domain in brackets is an address, which may be worth a warning.
        if self._known is None or domain.startswith(b"["):
            return self._decide(domain)
        answer = self._known.get(domain)
        if answer is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            answer = self._known[domain] = self._decide(domain)
        return answer

    def _decide(self, domain: bytes) -> bool:
        if fold(domain, utf8=self._utf8) == self._myorigin:
            return True
        domain = domain.removesuffix(b".")
        if not domain or domain.endswith(b"."):
            return False
        if self._destinations is None:
            self._destinations = self._list()
        if self._destinations.contains(domain):
            return True
        if not (domain.startswith(b"[") and domain.endswith(b"]")):
            return False
        address = _literal(domain[1:-1])
        return address is not None and address in self._own()

    def _list(self) -> MatchList:
        return MatchList(
            "mydestination",
            self._mydestination,
            utf8=self._utf8,
            opened=self._opened,
        )

    def _own(self) -> frozenset[Address]:
        if self._addresses is None:
            try:
                self._addresses = self._find_own()
            except (ConfigError, OSError) as error:
                log.warning(str(error))
                raise TableError(str(error)) from None
        return self._addresses

    def _find_own(self) -> frozenset[Address]:
        sizes = address_sizes(self._inet_protocols)
        interfaces = own_interfaces(self._inet_interfaces, sizes)
        proxies = listed_addresses("proxy_interfaces", self._proxy_interfaces, sizes)
        found = [*(one.address for one in interfaces), *proxies]
        if sizes == {4}:
            # With IPv4 only, the C library treats ::ffff:127.0.0.1 as 127.0.0.1.
            found += [_MAPPED_PREFIX + address for address in found]
        return frozenset(found)


def _literal(inside: bytes) -> Address | None:
    """The address in [1.2.3.4] or [IPv6:1::4]; None, with a warning, if it is not one.

    Postfix has the C library read an IPv4 address, to which a leading zero means an
    octal number.
    """
    is_ipv6 = inside[: len(_IPV6_PREFIX)].lower() == _IPV6_PREFIX
    if is_ipv6:
        inside = inside[len(_IPV6_PREFIX) :]
    problem = ipv6_problem(inside) if is_ipv6 else ipv4_problem(inside)
    if problem:
        log.warning(problem)
        return None
    try:
        if is_ipv6:
            return socket.inet_pton(socket.AF_INET6, inside.decode("ascii"))
        return socket.inet_aton(inside.decode("ascii"))
    except OSError:
        return None
