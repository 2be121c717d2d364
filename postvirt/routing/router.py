"""Which transport mail for an address takes.

The class of the domain gives the transport (see `domain_classes`), unless
transport_maps has an entry for the address. relocated_maps and transports that depend
on the sender are not taken into account.

Parity: resolve_addr() in src/trivial-rewrite/resolve.c.
Raises: ConfigError for a parameter or a table that cannot be used, TableError for a
    table that cannot answer. Postfix defers the mail then.
"""

from __future__ import annotations

from typing import NamedTuple

from postvirt.config.lists import split
from postvirt.config.load import Texts
from postvirt.config.parameter_names import builtin_defaults
from postvirt.config.parameters import Settings
from postvirt.errors import ConfigError
from postvirt.routing.domain_classes import ALIAS_DOMAINS, LISTS, DomainClasses
from postvirt.routing.transport_maps import (
    TRANSPORT_MAPS,
    TransportEntry,
    TransportMaps,
)
from postvirt.tables.folding import fold
from postvirt.tables.match_list import table_names
from postvirt.tables.open_tables import OpenTables

# The parameter that names the transport of each class.
TRANSPORTS = {
    "mydestination": "local_transport",
    "virtual_mailbox_domains": "virtual_transport",
    "relay_domains": "relay_transport",
    "": "default_transport",
}
_NOT_AN_ALIAS = "error:User unknown in virtual alias table"


class Route(NamedTuple):
    """How mail for an address leaves the queue.

    domain_class  the list that contains its domain, "" if none does
    parameter     what names the transport: transport_maps, or the class's parameter;
                  "" for virtual_alias_domains, where only aliases receive mail
    transport     "transport:nexthop" as it is written there
    entry         of transport_maps, None if it has none for the address
    """

    domain_class: str
    parameter: str
    transport: str
    entry: TransportEntry | None = None

    @property
    def service(self) -> str:
        """The service of master.cf, "" for none."""
        return self.transport.partition(":")[0]


def tables_of_routing(settings: Settings, texts: Texts) -> list[str]:
    """Every "type:name" that a Router opens, for `TableOpener.prepare`."""
    names: list[str] = []
    try:
        names += split(text_of(texts, TRANSPORT_MAPS))
    except ConfigError:
        pass  # raised again when it is asked
    for parameter in (*LISTS, "parent_domain_matches_subdomains"):
        try:
            names += table_names(parameter, getattr(settings, parameter))
        except ConfigError:
            pass  # as above
    return names


def text_of(texts: Texts, parameter: str) -> str:
    """The expanded text of a parameter of any Postfix program, or of its default."""
    value = texts(parameter)
    if value is None:
        default = builtin_defaults().get(parameter, "")
        value = Texts({**texts.unexpanded, parameter: default})(parameter)
    return value or ""


class Router:
    """Decides by the parameters of main.cf; opens tables when they are first asked."""

    def __init__(self, settings: Settings, texts: Texts, opened: OpenTables) -> None:
        self._settings = settings
        self._texts = texts
        self._opened = opened
        self._transport_maps: TransportMaps | None = None
        self.classes = DomainClasses(settings, opened)

    def route(self, address: bytes) -> Route:
        """The route of an address in internal form, which must have a domain."""
        domain = fold(address.rpartition(b"@")[2], utf8=self._settings.smtputf8_enable)
        return self.overridden(self.class_route(self.classes.class_of(domain)), address)

    def class_route(self, domain_class: str) -> Route:
        """The route of a class, before transport_maps is asked."""
        if domain_class == ALIAS_DOMAINS:
            return Route(domain_class, "", _NOT_AN_ALIAS)
        parameter = TRANSPORTS[domain_class]
        return Route(domain_class, parameter, text_of(self._texts, parameter))

    def overridden(self, route: Route, address: bytes) -> Route:
        """The route of an address of a class, by its entry of transport_maps."""
        if route.domain_class == ALIAS_DOMAINS:
            return route  # transport_maps is not asked
        entry = self._entry(fold(address, utf8=self._settings.smtputf8_enable))
        if entry is None or not entry.transport:
            return route._replace(entry=entry)
        return Route(route.domain_class, TRANSPORT_MAPS, entry.value, entry)

    def _entry(self, address: bytes) -> TransportEntry | None:
        if self._transport_maps is None:
            names = text_of(self._texts, TRANSPORT_MAPS)
            self._transport_maps = TransportMaps(self._settings, names, self._opened)
        return self._transport_maps.find(address)
