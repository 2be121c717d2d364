"""Whether mail for the domains in the mailbox tables reaches this delivery agent.

The router answers; here its answers are remembered, and what keeps it from answering is
kept in `failures`, once for each parameter: a list that fails contains no domain.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.errors import ConfigError, TableError
from postvirt.inspection.subject import Subject
from postvirt.routing.domain_classes import LISTS, MAILBOX_DOMAINS
from postvirt.routing.router import TRANSPORTS, Router
from postvirt.routing.transport_maps import TRANSPORT_MAPS
from postvirt.tables.folding import fold
from postvirt.tables.match_list import patterns
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.table import ListedTable, Table, TableOptions

# Where local(8) may send on what it receives.
_HANDED_ON = ("mailbox_transport", "fallback_transport")
# The router is asked again about the domains of a larger mail system.
_MOST_REMEMBERED = 100_000


class Routes:
    """The routes of domains; failures are reasons, by parameter."""

    def __init__(self, subject: Subject, opened: OpenTables) -> None:
        self._subject = subject
        self._services = subject.services
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

    def comes_here(self, domain: bytes) -> bool:
        """Whether mail for the domain takes the transport of one of our services."""
        lists = self.lists_of(domain)
        try:
            route = self._router.class_route(lists[0] if lists else "")
        except ConfigError:
            return False  # reported with the parameter
        try:
            route = self._router.overridden(route, b"anybody@" + domain)
        except (ConfigError, TableError) as error:
            self.failures.setdefault(TRANSPORT_MAPS, str(error))
        if route.service in self._services:
            return True
        return route.parameter == TRANSPORTS["mydestination"] and any(
            map(self._is_here, _HANDED_ON)
        )

    def may_come_here(self) -> bool:
        """Whether any mail may take the transport of one of our services."""
        return bool(self._subject.text_of(TRANSPORT_MAPS)) or any(
            map(self._is_here, (*TRANSPORTS.values(), *_HANDED_ON))
        )

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
