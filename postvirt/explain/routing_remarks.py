"""Whether mail for an address reaches the delivery agent at all.

Postfix decides that earlier: cleanup(8) replaces aliases, and trivial-rewrite(8)
chooses the transport, by the class of the domain and by transport_maps.

Parity: the recipient part of src/cleanup/cleanup_map1n.c; see routing.router.
Raises: nothing; what cannot be decided is a remark as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from postvirt.config.lists import words
from postvirt.config.load import Texts
from postvirt.config.parameters import Settings
from postvirt.delivery.resolve import Resolver
from postvirt.errors import ConfigError, TableError
from postvirt.model.text import text, wire
from postvirt.routing.domain_classes import ALIAS_DOMAINS
from postvirt.routing.router import Route, Router, tables_of_routing, text_of
from postvirt.routing.transport_maps import TRANSPORT_MAPS
from postvirt.tables.folding import fold
from postvirt.tables.maps import Maps, open_maps
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.table import TableOptions


class Remark(NamedTuple):
    """One step of the mail's way; it may lead elsewhere."""

    text: str
    leads_here: bool = True


def tables_of_remarks(settings: Settings, texts: Texts) -> list[str]:
    """Every "type:name" that is opened here, for `TableOpener.prepare`."""
    return [*words(settings.virtual_alias_maps), *tables_of_routing(settings, texts)]


class RoutingRemarks:
    """Explains whether mail reaches a service, and how; opens the tables."""

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
        self._router = Router(settings, texts, opened)
        self._aliases: Maps | None = None

    def about(self, address: bytes) -> Iterator[Remark]:
        """The remarks about an address, in the order of the mail's way."""
        user = fold(address, utf8=self._settings.smtputf8_enable)
        if not user.rpartition(b"@")[2] or b"@" not in user:
            yield Remark(
                "the address has no domain: Postfix would append"
                f" @{self._settings.myorigin}",
                leads_here=False,
            )
            return
        try:
            yield from self._alias(user)
            yield from self._way(self._router.route(address), user)
        except (TableError, ConfigError) as error:
            yield Remark(
                f"cannot tell where Postfix sends this mail: {error}", leads_here=False
            )

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
        utf8 = self._settings.smtputf8_enable
        targets = [fold(wire(one), utf8=utf8) for one in words(text(found))]
        yield Remark(
            f"virtual_alias_maps replaces it with {text(found)}",
            leads_here=user in targets,
        )

    def _way(self, route: Route, user: bytes) -> Iterator[Remark]:
        domain = text(user.rpartition(b"@")[2])
        place = (
            f"in {route.domain_class}" if route.domain_class else "in no domain class"
        )
        start = f"the domain {domain} is {place}"
        if route.domain_class == ALIAS_DOMAINS:
            yield Remark(
                f"{start}: an address without an alias is rejected", leads_here=False
            )
            return
        end = "this agent" if self._is_here(route) else f"not to {self._service}"
        if route.parameter != TRANSPORT_MAPS:
            yield Remark(
                f"{start}: mail goes to {route.parameter} = {route.transport}, {end}",
                leads_here=self._is_here(route),
            )
        else:
            yield Remark(start)
        entry = route.entry
        if entry is None:
            if text_of(self._texts, TRANSPORT_MAPS):
                yield Remark("transport_maps has no entry for this address")
            return
        what = f"transport_maps has {text(entry.key)} = {entry.value} in {entry.table}"
        if entry.transport:
            yield Remark(
                f"{what}: mail goes to {entry.transport}, {end}",
                leads_here=self._is_here(route),
            )
        else:
            yield Remark(f"{what}: the transport stays the same")

    def _is_here(self, route: Route) -> bool:
        return route.service == self._service
