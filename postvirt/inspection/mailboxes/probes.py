"""Addresses that may have a mailbox, for tables that cannot be listed.

They come from the usual names in each domain, from the directories below
virtual_mailbox_base, and from tables that contain addresses and can be listed. How
many queries that takes is limited, and so is the time.

Raises: nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, zip_longest

from postvirt.config.lists import split
from postvirt.errors import ConfigError, TableError
from postvirt.inspection.subject import Subject
from postvirt.inspection.tables.table_refs import INDEXES
from postvirt.model.mailbox import Owner
from postvirt.model.text import wire
from postvirt.system.privileges import acting_as
from postvirt.tables.folding import fold
from postvirt.tables.table import ListedTable, TableOptions

MOST_PROBES = 100
_PATIENCE_SECONDS = 15.0

_NAMES = (
    *(b"postmaster", b"info", b"admin", b"abuse", b"webmaster", b"root", b"hostmaster"),
    *(b"mail", b"office", b"contact", b"support", b"sales", b"test", b"user", b"me"),
)
_OWN_NAMES = ("mydomain", "myhostname", "myorigin")
_MOST_DOMAINS = 5
_MOST_OF_ONE_KIND = 30
_MOST_OF_ONE_DIRECTORY = 10
_MOST_READ = 1000
_TYPES = (*INDEXES, "texthash", "inline")


class Probes:
    """The addresses.

    domains    what is known to be in virtual_mailbox_domains
    is_ours    whether a domain is in there
    owner      of all mailboxes, if there is only one
    """

    def __init__(
        self,
        subject: Subject,
        domains: Sequence[bytes],
        is_ours: Callable[[bytes], bool],
        owner: Owner | None,
    ) -> None:
        self._subject = subject
        self._domains = domains
        self._is_ours = is_ours
        self._owner = owner
        self._utf8 = subject.settings.smtputf8_enable
        self._elsewhere = self._found_elsewhere()

    def show(self, show: Callable[[bytes], bool]) -> None:
        """Show one after the other, as long as the answer is yes and there is time."""
        end = time.monotonic() + _PATIENCE_SECONDS
        for address in islice(self._addresses(), MOST_PROBES):
            if not show(address) or time.monotonic() > end:
                return

    def domains(self) -> list[bytes]:
        """Some domains of virtual_mailbox_domains."""
        own = (wire(getattr(self._subject.settings, name)) for name in _OWN_NAMES)
        named = (one.rpartition(b"@")[2] for one in self._elsewhere)
        found = dict.fromkeys(self._domains[:_MOST_DOMAINS])
        for domain in islice(dict.fromkeys(chain(own, named)), _MOST_OF_ONE_KIND):
            if len(found) < _MOST_DOMAINS and self._is_ours(domain):
                found[domain] = None
        return list(found)

    def _addresses(self) -> Iterator[bytes]:
        domains = self.domains()
        usual = (name + b"@" + domain for name in _NAMES for domain in domains)
        found = (
            one for one in self._elsewhere if self._is_ours(one.rpartition(b"@")[2])
        )
        both = chain.from_iterable(zip_longest(usual, found))
        return iter(dict.fromkeys(one for one in both if one is not None))

    def _found_elsewhere(self) -> list[bytes]:
        """Addresses in directories and other tables."""
        found = chain(self._directories(), self._tables())
        folded = (fold(one, utf8=self._utf8) for one in found)
        return [one for one in folded if one.partition(b"@")[0]]

    def _directories(self) -> Iterator[bytes]:
        """base/example.com/bob and base/bob@example.com."""
        base = wire(self._subject.settings.virtual_mailbox_base)
        found = 0
        for name in self._names_in(base):
            addresses = [name] if b"@" in name else []
            if b"." in name and not addresses:
                inside = (b"postmaster", *self._names_in(base + b"/" + name))
                addresses = [
                    one if b"@" in one else one + b"@" + name for one in inside
                ]
            for address in addresses[:_MOST_OF_ONE_DIRECTORY]:
                yield address
                found += 1
                if found >= _MOST_OF_ONE_KIND:
                    return

    def _names_in(self, directory: bytes) -> list[bytes]:
        """Some names, as far as the owner of the mailboxes may read them."""
        try:
            if self._owner is None:
                return _some_names(directory)
            with acting_as(self._owner):
                return _some_names(directory)
        except OSError:
            return []

    def _tables(self) -> Iterator[bytes]:
        """The addresses in uid, gid and alias tables."""
        settings = self._subject.settings
        aliases = self._subject.text_of("virtual_alias_maps")
        for value in (settings.virtual_uid_maps, settings.virtual_gid_maps, aliases):
            try:
                names = split(value)
            except ConfigError:
                continue
            found = (one for name in names for one in self._in_table(name))
            yield from islice(dict.fromkeys(found), _MOST_OF_ONE_KIND)

    def _in_table(self, name: str) -> Iterator[bytes]:
        if name.partition(":")[0] not in _TYPES:
            return
        try:
            table = self._subject.tables.open(name, TableOptions(utf8=self._utf8))
        except ConfigError:
            return
        try:
            if isinstance(table, ListedTable):
                for key, value in islice(table.entries(), _MOST_READ):
                    words = (key, *value.replace(b",", b" ").split())
                    yield from (one for one in words if b"@" in one)
        except TableError:
            pass  # reported when it is asked
        finally:
            table.close()


def _some_names(directory: bytes) -> list[bytes]:
    with os.scandir(directory) as entries:
        return [one.name for one in islice(entries, _MOST_READ) if one.is_dir()]
