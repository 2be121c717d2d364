"""Whether mail for the domains in the mailbox tables reaches this delivery agent.

The router answers; here its answers are remembered, and what keeps it from answering is
kept in `failures`, once for each parameter: a list that fails contains no domain.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from postvirt.config.lists import split
from postvirt.errors import ConfigError, TableError
from postvirt.inspection.subject import Subject
from postvirt.model.text import text
from postvirt.routing.domain_classes import LISTS, MAILBOX_DOMAINS
from postvirt.routing.router import TRANSPORTS, Route, Router
from postvirt.routing.transport_maps import TRANSPORT_MAPS
from postvirt.tables.folding import fold
from postvirt.tables.maps import open_maps
from postvirt.tables.match_list import patterns
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.table import ListedTable, Table, TableOptions

# Where local(8) may send on what it receives.
_HANDED_ON = ("mailbox_transport", "fallback_transport")
# The router is asked again about the domains of a larger mail system.
_MOST_REMEMBERED = 100_000


class Routes:
    """The routes of domains; failures are reasons, by parameter.

    services   those that count as here; None for all delivery agents
    """

    def __init__(
        self,
        subject: Subject,
        opened: OpenTables,
        services: Collection[str] | None = None,
    ) -> None:
        self._subject = subject
        self._opened = opened
        self._services = subject.services if services is None else services
        self._transports = split(subject.text_of(TRANSPORT_MAPS))
        self._own_entries: Collection[bytes] | None = None
        self._taken: dict[bytes, str] = {}
        self._utf8 = subject.settings.smtputf8_enable
        self._router = Router(subject.settings, subject.texts, opened)
        self._remembered: dict[bytes, tuple[str, ...]] = {}
        self.failures: dict[str, str] = {}

    def lists_of(self, domain: bytes) -> tuple[str, ...]:
        """The lists that contain the domain, in Postfix's order."""
        found = self._remembered.get(domain)
        if found is None:
            found = tuple(one for one in LISTS if self._is_in(one, domain))
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[domain] = found
        return found

    @property
    def has_transport_maps(self) -> bool:
        """Whether transport_maps lists a table."""
        return bool(self._transports)

    def of_domain(self, domain: bytes) -> Route | None:
        """How mail for the domain leaves the queue; None if that cannot be said."""
        lists = self.lists_of(domain)
        try:
            route = self._router.class_route(lists[0] if lists else "")
        except ConfigError:
            return None  # reported with the parameter
        try:
            return self._router.overridden(route, _anybody(domain))
        except (ConfigError, TableError) as error:
            self.failures.setdefault(TRANSPORT_MAPS, str(error))
        return route

    def comes_here(self, domain: bytes) -> bool:
        """Whether mail for the domain takes the transport of one of our services."""
        route = self.of_domain(domain)
        if route is None:
            return False
        if self._serves(route):
            return True
        return route.parameter == TRANSPORTS["mydestination"] and any(
            map(self._is_here, _HANDED_ON)
        )

    def taken_away(self, address: bytes) -> str:
        """Where transport_maps sends mail that virtual_transport sends here; or "".

        An entry for a single address counts if its table can be listed, whatever the
        class of its domain: Mailman's addresses are in several tables, for smtpd(8).
        """
        domain = address.rpartition(b"@")[2]
        if self._own_entries is None:
            self._own_entries = self._addresses_in_transport_maps()
        user = fold(address, utf8=self._utf8)
        key = user if user in self._own_entries else _anybody(domain)
        found = self._taken.get(key)
        if found is None:
            if len(self._taken) >= _MOST_REMEMBERED:
                self._taken.clear()
            found = self._taken[key] = self._find_taken(key, domain)
        return found

    def _addresses_in_transport_maps(self) -> Collection[bytes]:
        keys = (key for key, _ in self._transport_entries() if b"@" in key)
        return frozenset(islice(keys, _MOST_REMEMBERED))

    def _find_taken(self, address: bytes, domain: bytes) -> str:
        lists = self.lists_of(domain)
        is_ours = lists[:1] == (MAILBOX_DOMAINS,)
        if is_ours and not self._is_here("virtual_transport"):
            return ""
        if not is_ours and address not in (self._own_entries or ()):
            return ""
        try:
            route = self._router.overridden(
                self._router.class_route(lists[0] if lists else ""), address
            )
        except (ConfigError, TableError) as error:
            self.failures.setdefault(TRANSPORT_MAPS, str(error))
            return ""
        is_taken = route.parameter == TRANSPORT_MAPS
        return route.transport if is_taken and not self._serves(route) else ""

    def _serves(self, route: Route) -> bool:
        return route.service in self._services

    def other_transports(self) -> list[str]:
        """The parameters that lead here, but for virtual_transport.

        local_transport and those of local(8) matter if there is a local domain.
        """
        names = [one for one in TRANSPORTS.values() if one != "virtual_transport"]
        return [one for one in (*names, *_HANDED_ON) if self._is_here(one)]

    def transport_keys(self) -> list[bytes]:
        """The keys of transport_maps that lead here, of tables that can be listed."""
        return [
            key
            for key, value in self._transport_entries()
            if text(value).partition(":")[0] in self._services
        ]

    def _transport_entries(self) -> Iterator[tuple[bytes, bytes]]:
        for table in self._open_transports():
            if isinstance(table, ListedTable):
                try:
                    yield from table.entries()
                except TableError as error:
                    self.failures.setdefault(TRANSPORT_MAPS, str(error))

    def unlisted_transports(self) -> list[str]:
        """The tables of transport_maps whose entries are not known."""
        return [
            table.title
            for table in self._open_transports()
            if not isinstance(table, ListedTable)
        ]

    def _open_transports(self) -> Sequence[Table]:
        options = TableOptions(utf8=self._utf8, fold=True)
        maps = open_maps(TRANSPORT_MAPS, self._transports, options, self._opened)
        return maps.tables

    def _is_here(self, parameter: str) -> bool:
        value = self._subject.text_of(parameter)
        return value.partition(":")[0] in self._services

    def _is_in(self, parameter: str, domain: bytes) -> bool:
        try:
            return self._router.classes.contains(parameter, domain)
        except (ConfigError, TableError) as error:
            self.failures.setdefault(parameter, str(error))
        return False

    def listed(self) -> tuple[list[bytes], bool]:
        """The domains that virtual_mailbox_domains contains, and whether that is all.

        Those behind "!" are skipped, and so are the entries of large tables.
        """
        value = self._subject.settings.virtual_mailbox_domains
        found: dict[bytes, None] = {}
        is_all = True
        try:
            items = list(patterns(MAILBOX_DOMAINS, value))
        except ConfigError as error:
            self.failures.setdefault(MAILBOX_DOMAINS, str(error))
            return [], False
        for item in items:
            if isinstance(item, bytes):
                found[fold(item, utf8=self._utf8)] = None
                continue
            opened = self._subject.tables.open(item, TableOptions(utf8=self._utf8))
            is_all &= isinstance(opened, ListedTable)
            for domain in _domains_in(opened):
                found[fold(domain, utf8=self._utf8)] = None
                if len(found) >= _MOST_REMEMBERED:
                    is_all = False
                    break
            opened.close()
        return [one for one in found if MAILBOX_DOMAINS in self.lists_of(one)], is_all

    def named_in(self, parameter: str) -> list[bytes]:
        """The domains that a list names, those in tables left out."""
        try:
            items = list(patterns(parameter, self._subject.text_of(parameter)))
        except ConfigError as error:
            self.failures.setdefault(parameter, str(error))
            return []
        names = [one for one in items if isinstance(one, bytes)]
        return [fold(one, utf8=self._utf8) for one in names]

    def parent_in(self, parameter: str, domain: bytes) -> bytes:
        """The highest domain above this one that a list contains, b"" if none is."""
        labels = domain.split(b".")
        for count in range(1, len(labels)):
            above = b".".join(labels[-count:])
            if self._is_in(parameter, above):
                return above
        return b""


def _domains_in(table: Table) -> Iterator[bytes]:
    """The keys of a table that can be domains."""
    if not isinstance(table, ListedTable):
        return
    try:
        for key, _ in table.entries():
            if b"@" not in key and b"." in key:
                yield key
    except TableError:
        pass  # reported when it is asked


def _anybody(domain: bytes) -> bytes:
    return b"anybody@" + domain
