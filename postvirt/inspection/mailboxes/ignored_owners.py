"""Owners of whole domains whose keys are never looked up, so that others are taken.

With `example.com 5001` and then static:5000, mail for example.com is written as 5000.

    PV115  such a key

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from postvirt.delivery.resolve import Resolver
from postvirt.errors import TableError
from postvirt.inspection.mailboxes.dead_owners import DeadKeys, dead_key_of_domain
from postvirt.inspection.mailboxes.entries import MailboxEntry
from postvirt.inspection.mailboxes.grouped import Grouped
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.text import text
from postvirt.tables.maps import Maps
from postvirt.tables.simple.static import StaticTable

# Each takes some lookups, maybe in a database.
_MOST_DOMAINS = 100


class IgnoredOwners:
    """Compares the owner of one mailbox of each domain with such keys."""

    def __init__(self, subject: Subject, resolver: Resolver) -> None:
        self._subject = subject
        self._maps = (resolver.uid_maps, resolver.gid_maps)
        self._owners: dict[bytes, tuple[bytes, Owner]] = {}

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """Remember a recipient of each domain."""
        for entry in entries:
            if len(self._owners) >= _MOST_DOMAINS:
                return
            if isinstance(entry.place, Mailbox) and entry.domain not in self._owners:
                self._owners[entry.domain] = (entry.recipient, entry.place.owner)

    def problems(self) -> Iterator[Problem]:
        """The keys with other owners than those that mail is written as."""
        for maps in self._maps:
            what = "uid" if maps.title == "virtual_uid_maps" else "gid"
            found: Grouped[str, str] = Grouped()
            for recipient, owner in self._owners.values():
                number = owner.uid if what == "uid" else owner.gid
                dead = _dead(maps, recipient, number)
                if dead is not None:
                    found.add(dead.remedy, recipient, dead.keys[0])
            for remedy, group in found:
                yield self._subject.problem(
                    "PV115",
                    f"{group.details[0]} is never looked up, so another {what} is used:"
                    f" {group.counted('mailbox')}",
                    maps.title,
                    severity="warning",
                    remedy=remedy,
                )


def _dead(maps: Maps, recipient: bytes, number: int) -> DeadKeys | None:
    """A key with another number for the domain of a recipient."""
    domain = recipient.rpartition(b"@")[2]
    for table in maps.tables:
        if not table.fixed or isinstance(table, StaticTable):
            continue
        try:
            found = dead_key_of_domain(table, domain)
        except TableError:
            continue  # reported with the lookups
        if found and text(found[1]).strip() != str(number):
            return found[0]
    return None
