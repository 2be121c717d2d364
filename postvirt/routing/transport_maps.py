"""transport_maps: the entry for an address, which overrides its class's transport.

For user+ext@mail.example.com:

    user+ext@mail.example.com   tables of patterns see nothing else but "*"
    user@mail.example.com       without the extension
    mail.example.com
    .example.com, .com          without the dot if parent_domain_matches_subdomains
                                lists transport_maps
    *                           everything else

A local part that needs quotes is looked up with them.

Parity: src/trivial-rewrite/transport.c, transport(5).
Raises: TableError when a table fails; ConfigError when one cannot be opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from postvirt.codec.quoting import quote_local
from postvirt.config.parameters import Settings
from postvirt.model.text import text
from postvirt.tables.maps import Maps, open_maps
from postvirt.tables.match_list import MatchList
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.search import Extensions
from postvirt.tables.table import TableOptions

TRANSPORT_MAPS = "transport_maps"
_EVERYTHING = b"*"


class TransportEntry(NamedTuple):
    """An entry of a table: "transport:nexthop", of which either may be empty."""

    table: str
    key: bytes
    value: str

    @property
    def transport(self) -> str:
        """The transport, "" when the entry does not change it."""
        return self.value.partition(":")[0]


class TransportMaps:
    """The tables of transport_maps, open; names is its expanded text."""

    def __init__(self, settings: Settings, names: str, opened: OpenTables) -> None:
        utf8 = settings.smtputf8_enable
        self._extensions = Extensions.of(settings)
        options = TableOptions(utf8=utf8, fold=True)
        # A list for each table, so that the one that answers is known.
        self._maps = [
            Maps(TRANSPORT_MAPS, (table,))
            for table in open_maps(TRANSPORT_MAPS, names, options, opened).tables
        ]
        parents = MatchList(
            "parent_domain_matches_subdomains",
            settings.parent_domain_matches_subdomains,
            utf8=utf8,
            opened=opened,
        )
        self._parent_matches = parents.contains(TRANSPORT_MAPS.encode())

    def find(self, address: bytes) -> TransportEntry | None:
        """The entry for a folded address in internal form."""
        for key, is_partial in self._keys(address):
            for maps in self._maps:
                value = maps.find(key, partial=is_partial)
                if value is not None:
                    return TransportEntry(maps.tables[0].title, key, text(value))
        return None

    def _keys(self, address: bytes) -> Iterator[tuple[bytes, bool]]:
        """The keys in order, each with whether tables of patterns may not see it."""
        yield quote_local(address), False
        bare = self._extensions.without(address)
        if bare is not None:
            yield quote_local(bare), True
        name = address.rpartition(b"@")[2]
        while name:
            yield name, True
            dot = name.find(b".", 1)
            if dot < 0:
                break
            name = name[dot + 1 if self._parent_matches else dot :]
        yield _EVERYTHING, False
