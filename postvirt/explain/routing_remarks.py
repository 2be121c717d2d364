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
from postvirt.model.text import text
from postvirt.routing.aliases import ALIAS_MAPS, Alias, AliasMaps, Expansion
from postvirt.routing.domain_classes import ALIAS_DOMAINS
from postvirt.routing.router import Route, Router, tables_of_routing, text_of
from postvirt.routing.transport_maps import TRANSPORT_MAPS
from postvirt.tables.folding import fold
from postvirt.tables.open_tables import OpenTables


class Remark(NamedTuple):
    """One step of the mail's way; it may lead elsewhere."""

    text: str
    leads_here: bool = True


class Routing(NamedTuple):
    """The way of the mail for an address.

    is_kept   the address itself remains a recipient
    others    the other recipients that aliases replace it with
    here      those of them whose mail reaches this service
    """

    remarks: tuple[Remark, ...]
    is_kept: bool = True
    others: tuple[bytes, ...] = ()
    here: tuple[bytes, ...] = ()


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
        self._aliases: AliasMaps | None = None

    def about(self, address: bytes, *, with_aliases: bool = True) -> Routing:
        """The remarks about an address, in the order of the mail's way."""
        user = self._folded(address)
        if not user.rpartition(b"@")[2] or b"@" not in user:
            remark = Remark(
                "the address has no domain: Postfix would append"
                f" @{self._settings.myorigin}",
                leads_here=False,
            )
            return Routing((remark,))
        remarks: list[Remark] = []
        try:
            if not with_aliases:
                remarks += self._way(self._router.route(address), address)
                return Routing(tuple(remarks))
            expansion = self._expand(address)
            remarks += map(_of_alias, expansion.aliases)
            others = [one for one in expansion.recipients if self._folded(one) != user]
            is_kept = len(others) < len(expansion.recipients)
            if is_kept:
                remarks += self._way(self._router.route(address), address)
            here = []
            for other in others:
                route = self._router.route(other)
                if self._is_here(route):
                    here.append(other)
                else:
                    remarks += self._elsewhere(route, other)
            return Routing(tuple(remarks), is_kept, tuple(others), tuple(here))
        except (TableError, ConfigError) as error:
            failed = Remark(
                f"cannot tell where Postfix sends this mail: {error}", leads_here=False
            )
            return Routing((*remarks, failed))

    def _expand(self, address: bytes) -> Expansion:
        if self._aliases is None:
            self._aliases = AliasMaps(
                self._settings,
                self._texts,
                self._opened,
                self._resolver.is_local_domain,
            )
        return self._aliases.expand(address)

    def _folded(self, address: bytes) -> bytes:
        return fold(address, utf8=self._settings.smtputf8_enable)

    def _elsewhere(self, route: Route, other: bytes) -> Iterator[Remark]:
        is_refused = route.domain_class == ALIAS_DOMAINS
        for remark in self._way(route, other):
            yield Remark(f"{text(other)}: {remark.text}", leads_here=not is_refused)

    def _way(self, route: Route, address: bytes) -> Iterator[Remark]:
        domain = text(self._folded(address).rpartition(b"@")[2])
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


def _of_alias(alias: Alias) -> Remark:
    becomes = f"becomes {', '.join(map(text, alias.recipients))}"
    if alias.recipients == (alias.address,):
        becomes = "stays as it is"
    return Remark(
        f"{ALIAS_MAPS} has {text(alias.key)} = {text(alias.value)} in {alias.table}:"
        f" {text(alias.address)} {becomes}"
    )
