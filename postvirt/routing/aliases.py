"""virtual_alias_maps: the recipients that replace an address.

Every result is looked up in its turn, until an address has no entry or is among its own
results. canonical_maps, which are applied before, are not taken into account.

Parity: src/cleanup/cleanup_map1n.c, src/global/mail_addr_map.c.
Raises: TableError when a table fails, and when an address becomes too many, is replaced
    too often, or gets too long; Postfix does not accept the message then. ConfigError
    for a table that cannot be opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from postvirt.codec.quoting import unquote_local
from postvirt.config.lists import words
from postvirt.config.load import Texts
from postvirt.config.parameters import Settings
from postvirt.errors import ConfigError, TableError
from postvirt.model.text import text, wire
from postvirt.routing.router import text_of
from postvirt.tables.folding import fold
from postvirt.tables.maps import Maps, open_maps
from postvirt.tables.open_tables import OpenTables
from postvirt.tables.search import Extensions, find_address
from postvirt.tables.table import Table, TableOptions

ALIAS_MAPS = "virtual_alias_maps"

_GROUP = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^,"])+')
_IN_BRACKETS = re.compile(rb"<([^<>]*)>")
_WORD = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^\s"])+')
_MOST_SHOWN_BYTES = 300


class Alias(NamedTuple):
    """An entry that replaces an address.

    table       "type:name"
    key         as it was looked up
    value       as the table has it
    recipients  what replaces the address, in internal form
    """

    address: bytes
    table: str
    key: bytes
    value: bytes
    recipients: tuple[bytes, ...]


class Expansion(NamedTuple):
    """What becomes of an address: the last recipients, and the entries on the way."""

    recipients: tuple[bytes, ...]
    aliases: tuple[Alias, ...]


class AliasMaps:
    """The tables of virtual_alias_maps, open."""

    def __init__(
        self,
        settings: Settings,
        texts: Texts,
        opened: OpenTables,
        is_local_domain: Callable[[bytes], bool],
    ) -> None:
        self._utf8 = settings.smtputf8_enable
        options = TableOptions(utf8=self._utf8)
        self._maps = _NotingMaps(
            ALIAS_MAPS,
            open_maps(ALIAS_MAPS, settings.virtual_alias_maps, options, opened).tables,
        )
        self._extensions = Extensions.of(settings)
        self._is_local_domain = is_local_domain
        propagating = words(text_of(texts, "propagate_unmatched_extensions"))
        self._propagates = "virtual" in propagating
        self._origin = ""
        if text_of(texts, "append_at_myorigin").lower() == "yes":
            self._origin = settings.myorigin
        self._parent = ""
        if text_of(texts, "append_dot_mydomain").lower() == "yes":
            self._parent = text_of(texts, "mydomain")
        self._most = _number(texts, "virtual_alias_expansion_limit")
        self._most_steps = _number(texts, "virtual_alias_recursion_limit")
        self._most_bytes = _number(texts, "virtual_alias_address_length_limit")

    def __bool__(self) -> bool:
        return bool(self._maps.tables)

    def expand(self, address: bytes) -> Expansion:
        """What becomes of a recipient in internal form."""
        found = [address]
        aliases: list[Alias] = []
        own_results: set[bytes] = set()
        for at, _ in enumerate(found):  # which grows
            if len(found) > self._most:
                raise self._unreasonable("expansion size", address)
            steps = 0
            while self._folded(found[at]) not in own_results:
                if steps >= self._most_steps:
                    raise self._unreasonable("nesting", address)
                alias = self.find(found[at])
                if alias is None:
                    break
                aliases.append(alias)
                if self._folded(alias.address) in map(self._folded, alias.recipients):
                    own_results.add(self._folded(alias.address))
                found[at], *more = alias.recipients
                found += more
                steps += 1
        distinct = {self._folded(one): one for one in reversed(found)}
        return Expansion(tuple(reversed(distinct.values())), tuple(aliases))

    def find(self, address: bytes) -> Alias | None:
        """The entry for a recipient in internal form."""
        user = self._folded(address)
        value = find_address(self._maps, user, self._extensions, self._is_local_domain)
        if value is None:
            return None
        table, key = self._maps.hit
        recipients = tuple(self._results(user, key, value))
        if not recipients:
            raise TableError(
                f"{ALIAS_MAPS} lookup of {text(address)} returns non-address result"
                f' "{text(value)}"'
            )
        return Alias(address, table.title, key, value, recipients)

    def _results(self, user: bytes, key: bytes, value: bytes) -> Iterator[bytes]:
        bare = self._extensions.without(user)
        is_bare = bare is not None and key in (bare, bare.rpartition(b"@")[0])
        if value.startswith(b"@"):
            kept = bare if bare is not None and is_bare else user
            yield kept.rpartition(b"@")[0] + value
            return
        extension = b""
        if bare is not None and is_bare and self._propagates:
            extension = user.rpartition(b"@")[0][len(bare.rpartition(b"@")[0]) :]
        for one in addresses_in(value):
            local, at, domain = self._complete(one).rpartition(b"@")
            if not at:
                local, domain = domain, b""
            result = local + extension + at + domain
            if len(result) > self._most_bytes:
                shown = text(result[:_MOST_SHOWN_BYTES])
                raise TableError(f"unreasonable {ALIAS_MAPS} result {shown}...")
            yield result

    def _complete(self, address: bytes) -> bytes:
        """With a domain, and that with a parent, as trivial-rewrite(8) adds them."""
        local, at, domain = address.rpartition(b"@")
        if not at:
            return address + wire(f"@{self._origin}") if self._origin else address
        if self._parent and b"." not in domain and not domain.startswith(b"["):
            return local + at + domain + wire(f".{self._parent}")
        return address

    def _folded(self, address: bytes) -> bytes:
        return fold(address, utf8=self._utf8)

    def _unreasonable(self, what: str, address: bytes) -> TableError:
        return TableError(f"unreasonable {ALIAS_MAPS} map {what} for {text(address)}")


class _NotingMaps(Maps):
    """Notes which table had a key; hit is valid after an answer."""

    hit: tuple[Table, bytes]

    def find(self, key: bytes, *, partial: bool = False) -> bytes | None:
        for table in self.tables:
            value = Maps(self.title, (table,)).find(key, partial=partial)
            if value is not None:
                self.hit = table, key
                return value
        return None


def _number(texts: Texts, parameter: str) -> int:
    value = text_of(texts, parameter)
    try:
        return int(value)
    except ValueError:
        trouble = f"bad numerical configuration: {parameter} = {value}"
        raise ConfigError.of_value(parameter, trouble) from None


def addresses_in(value: bytes) -> Iterator[bytes]:
    """The addresses of a value, in internal form.

    Commas and white space separate them; of "Name <address>", only the address counts.
    """
    for group in _GROUP.findall(value):
        bracketed = _IN_BRACKETS.search(group)
        for word in [bracketed[1]] if bracketed else _WORD.findall(group):
            if word:
                yield unquote_local(word)
