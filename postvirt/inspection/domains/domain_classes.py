"""Which lists of domains a domain is in, as trivial-rewrite(8) asks.

    mydestination, virtual_alias_domains, virtual_mailbox_domains   whole names
    relay_domains   a domain and, as parent_domain_matches_subdomains says, those below

Whoever asks gets no answer from a list that cannot be read; `failures` says why.

Parity: resolve_addr() of src/trivial-rewrite/resolve.c.
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from postvirt.config.lists import split
from postvirt.errors import ConfigError, TableError
from postvirt.inspection.subject import Subject
from postvirt.model.text import text
from postvirt.tables.folding import fold
from postvirt.tables.maps import Maps, open_maps
from postvirt.tables.match_list import DomainList, MatchList, patterns, table_names
from postvirt.tables.registry import OpenTables, open_table
from postvirt.tables.table import ListedTable, Table, TableOptions

MAILBOX_DOMAINS = "virtual_mailbox_domains"
# In the order in which Postfix asks.
LISTS = ("mydestination", "virtual_alias_domains", MAILBOX_DOMAINS, "relay_domains")

# The transports of each class; local(8) may hand over what it gets.
_TRANSPORTS = {
    "mydestination": ("local_transport", "mailbox_transport", "fallback_transport"),
    MAILBOX_DOMAINS: ("virtual_transport",),
    "relay_domains": ("relay_transport",),
}
# A mail system of more domains than this is asked again.
_MOST_REMEMBERED = 100_000


def tables_of_lists(subject: Subject) -> list[str]:
    """The "type:name"s of all tables that Classes opens."""
    names = list(split(_text(subject, "transport_maps")))
    for parameter in LISTS:
        try:
            names += table_names(parameter, getattr(subject.settings, parameter))
        except ConfigError:
            pass  # Classes tells
    return names


class Classes:
    """The four lists and transport_maps, open."""

    def __init__(self, subject: Subject, opened: OpenTables) -> None:
        self._subject = subject
        self._services = subject.services
        self._utf8 = subject.settings.smtputf8_enable
        self.failures: dict[str, str] = {}
        self._lists = {
            parameter: found
            for parameter in LISTS
            if (found := self._open(parameter, opened)) is not None
        }
        self._transports: Maps | None = None
        names = _text(subject, "transport_maps")
        if names:
            options = TableOptions(utf8=self._utf8, fold=True)
            try:
                self._transports = open_maps("transport_maps", names, options, opened)
            except ConfigError as error:
                self.failures["transport_maps"] = error.text
        self._remembered: dict[bytes, tuple[str, ...]] = {}

    def of(self, domain: bytes) -> tuple[str, ...]:
        """The lists that have the domain, in Postfix's order."""
        found = self._remembered.get(domain)
        if found is None:
            found = tuple(one for one in LISTS if self._is_in(one, domain))
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[domain] = found
        return found

    def comes_here(self, domain: bytes, lists: tuple[str, ...]) -> bool:
        """Whether mail for the domain takes the transport of one of our services."""
        transport = self._transport_of(fold(domain, self._utf8))
        if transport:
            return transport in self._services
        parameters = _TRANSPORTS.get(lists[0], ()) if lists else ()
        return any(map(self._is_here, parameters))

    def may_come_here(self) -> bool:
        """Whether any mail may take the transport of one of our services."""
        parameters = [one for several in _TRANSPORTS.values() for one in several]
        return self._transports is not None or any(
            map(self._is_here, (*parameters, "default_transport"))
        )

    def _is_here(self, parameter: str) -> bool:
        value = _text(self._subject, parameter)
        return value.partition(":")[0] in self._services

    def _transport_of(self, domain: bytes) -> str:
        """What transport_maps says about a domain; "" for nothing."""
        if self._transports is None:
            return ""
        labels = domain.split(b".")
        above = [b"." + b".".join(labels[n:]) for n in range(1, len(labels))]
        try:
            for key in (domain, *above, b"*"):
                found = self._transports.find(key, partial=key != domain)
                if found is not None:
                    return text(found).partition(":")[0]
        except TableError as error:
            self.failures.setdefault("transport_maps", str(error))
        return ""

    def listed(self) -> tuple[list[bytes], bool]:
        """The domains that virtual_mailbox_domains names, and whether that is all.

        Those behind "!" are left out; so are the entries of large tables.
        """
        value = self._subject.settings.virtual_mailbox_domains
        found: dict[bytes, None] = {}
        is_all = True
        try:
            items = list(patterns(MAILBOX_DOMAINS, value))
        except ConfigError:
            return [], False
        for item in items:
            if isinstance(item, bytes):
                found[fold(item, self._utf8)] = None
                continue
            opened = open_table(item, TableOptions(utf8=self._utf8))
            is_all &= isinstance(opened, ListedTable)
            for domain in _domains_in(opened):
                found[fold(domain, self._utf8)] = None
                if len(found) >= _MOST_REMEMBERED:
                    is_all = False
                    break
            opened.close()
        return [one for one in found if MAILBOX_DOMAINS in self.of(one)], is_all

    def _open(
        self, parameter: str, opened: OpenTables
    ) -> MatchList | DomainList | None:
        settings = self._subject.settings
        value = getattr(settings, parameter)
        try:
            if parameter != "relay_domains":
                return MatchList(parameter, value, utf8=self._utf8, opened=opened)
            return DomainList(
                parameter,
                value,
                parent_domain_matches_subdomains=(
                    settings.parent_domain_matches_subdomains
                ),
                utf8=self._utf8,
                opened=opened,
            )
        except (ConfigError, TableError) as error:
            self.failures[parameter] = str(error)
            return None

    def _is_in(self, parameter: str, domain: bytes) -> bool:
        found = self._lists.get(parameter)
        try:
            match found:
                case MatchList():
                    return found.contains(domain)
                case DomainList():
                    return found.matches(domain)
        except TableError as error:
            self.failures.setdefault(parameter, str(error))
        return False


def _text(subject: Subject, parameter: str) -> str:
    try:
        return subject.texts(parameter) or ""
    except ConfigError:
        return ""  # reported with the parameter


def _domains_in(table: Table) -> Iterator[bytes]:
    """The keys of a table that can be domains."""
    if not isinstance(table, ListedTable):
        return
    try:
        for key, _ in table.entries():
            if b"@" not in key and b"." in key:
                yield key
    except TableError:
        pass  # asking it will tell
