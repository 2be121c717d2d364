"""Whether mail for an address comes to the delivery agent at all.

Postfix decides that before: cleanup(8) replaces aliases, and trivial-rewrite(8) looks
for the domain in one list after the other and takes the transport of the first that has
it. What main.cf says about other addresses than those of virtual mailboxes is not the
delivery agent's business; it is looked at here only to be told to a person.

Parity: resolve_addr() in src/trivial-rewrite/resolve.c, the recipient part of
src/cleanup/cleanup_map1n.c.
Raises: nothing; what cannot be told is a remark as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from postvirt.config.lists import words
from postvirt.config.load import Texts
from postvirt.config.parameter_names import builtin_defaults
from postvirt.config.parameters import Settings
from postvirt.delivery.resolve import Resolver
from postvirt.errors import ConfigError, TableError
from postvirt.model.text import text, wire
from postvirt.tables.folding import fold
from postvirt.tables.maps import Maps, open_maps
from postvirt.tables.match_list import DomainList, MatchList, table_names
from postvirt.tables.registry import OpenTables
from postvirt.tables.table import TableOptions

# Whether a domain is in a list; TableError when that cannot be told.
_Contains = Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about the way that mail takes; it may lead elsewhere."""

    text: str
    leads_here: bool = True


def routing_tables(settings: Settings) -> list[str]:
    """Every "type:name" that this looks into, for `registry.prepare`."""
    lists = ("virtual_alias_domains", "virtual_mailbox_domains", "relay_domains")
    names = list(words(settings.virtual_alias_maps))
    for parameter in lists:
        try:
            names += table_names(parameter, getattr(settings, parameter))
        except ConfigError:
            pass  # said when the list is opened
    return names


class Routing:
    """The ways that lead to a service, or past it; opens the tables."""

    def __init__(
        self,
        settings: Settings,
        texts: Texts,
        resolver: Resolver,
        opened: OpenTables,
        service: str,
    ) -> None:
        self._settings = settings
        self._texts = texts
        self._resolver = resolver
        self._opened = opened
        self._service = service
        self._aliases: Maps | None = None
        self._lists: list[tuple[str, str, _Contains]] | None = None

    def remarks(self, address: bytes) -> Iterator[Remark]:
        """What there is to say about an address, in the order of the way."""
        user = fold(address, self._settings.smtputf8_enable)
        domain = user.rpartition(b"@")[2] if b"@" in user else b""
        if not domain:
            yield Remark(
                f"there is no domain: Postfix would append @{self._settings.myorigin}",
                leads_here=False,
            )
            return
        try:
            yield from self._alias(user)
            yield self._class(domain)
        except (TableError, ConfigError) as error:
            yield Remark(f"cannot tell where Postfix sends this: {error}", False)
        try:
            if self._texts("transport_maps"):
                yield Remark(
                    "transport_maps is set: Postfix takes what it finds there before"
                    " anything else"
                )
        except ConfigError:
            pass  # not read by the delivery agent

    def _alias(self, user: bytes) -> Iterator[Remark]:
        if self._aliases is None:
            options = TableOptions(utf8=self._settings.smtputf8_enable)
            self._aliases = open_maps(
                "virtual_alias_maps",
                self._settings.virtual_alias_maps,
                options,
                self._opened,
            )
        found = self._resolver.search(self._aliases, user)
        if found is None:
            return
        targets = [fold(wire(one), True) for one in words(text(found))]
        yield Remark(
            f"virtual_alias_maps sends it to {text(found)}", fold(user, True) in targets
        )

    def _class(self, domain: bytes) -> Remark:
        for parameter, transport, contains in self._classes():
            if contains(domain):
                return self._found(domain, parameter, transport)
        return self._found(domain, "", "default_transport")

    def _found(self, domain: bytes, parameter: str, transport: str) -> Remark:
        place = f"in {parameter}" if parameter else "in no list of domains"
        start = f"the domain {text(domain)} is {place}"
        if not transport:
            return Remark(f"{start}: what is no alias there is refused", False)
        value = self._texts(transport)
        if value is None:
            default = builtin_defaults().get(transport, "")
            value = Texts({**self._texts.unexpanded, transport: default})(transport)
            value = value or ""
        service = value.partition(":")[0]
        leads_here = service == self._service
        end = "this agent" if leads_here else f"not to {self._service}"
        return Remark(f"{start}: mail goes to {transport} = {value}, {end}", leads_here)

    def _classes(self) -> list[tuple[str, str, _Contains]]:
        """The lists in Postfix's order, and the transport of each."""
        if self._lists is None:
            settings = self._settings
            utf8 = settings.smtputf8_enable

            def a_list(parameter: str) -> _Contains:
                value = getattr(settings, parameter)
                return MatchList(
                    parameter, value, utf8=utf8, opened=self._opened
                ).contains

            relay = DomainList(
                "relay_domains",
                settings.relay_domains,
                parent_domain_matches_subdomains=(
                    settings.parent_domain_matches_subdomains
                ),
                utf8=utf8,
                opened=self._opened,
            )
            self._lists = [
                ("mydestination", "local_transport", self._resolver.is_local_domain),
                ("virtual_alias_domains", "", a_list("virtual_alias_domains")),
                (
                    "virtual_mailbox_domains",
                    "virtual_transport",
                    a_list("virtual_mailbox_domains"),
                ),
                ("relay_domains", "relay_transport", relay.matches),
            ]
        return self._lists
