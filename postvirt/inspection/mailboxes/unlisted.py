"""Tables that cannot be listed, such as databases: some addresses are tried.

    PV209  what was not checked (information)

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from postvirt.delivery.resolve import Resolver
from postvirt.errors import TableError
from postvirt.inspection.mailboxes.entries import EntryCheck, MailboxEntry
from postvirt.inspection.mailboxes.probes import Probes
from postvirt.inspection.mailboxes.queries import only_addresses, same_for_all, selected
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.model.mailbox import Misconfigured, Unknown
from postvirt.model.text import counted
from postvirt.tables.databases.database import DatabaseTable
from postvirt.tables.maps import Maps
from postvirt.tables.table import ListedTable, Table


def check_unlisted(
    subject: Subject,
    probes: Probes,
    resolver: Resolver,
    tables: Mapping[str, Table],
    checks: Sequence[EntryCheck],
) -> Iterator[Problem]:
    """Show the mailboxes of some addresses to the checks.

    tables    those that cannot be listed, by their names
    """
    tried = _Tried(resolver, [*tables.values()])
    probes.show(tried.add)
    for check in checks:
        check.see(tried.entries)
    for name, table in tables.items():
        yield _not_listed(subject, name, tried)
        if isinstance(table, DatabaseTable) and not tried.has_failed:
            yield from same_for_all(subject, name, table, probes.domains())
            if not tried.entries and _receives_mail(subject):
                yield from selected(subject, name, table)
            yield from only_addresses(subject, name, table, tried.recipients)


def _receives_mail(subject: Subject) -> bool:
    return subject.settings.virtual_transport.partition(":")[0] in subject.services


class _Tried:
    """The addresses that were tried, and the mailboxes in these tables."""

    def __init__(self, resolver: Resolver, tables: Sequence[Table]) -> None:
        title = resolver.mailbox_maps.title
        listed = [
            one for one in resolver.mailbox_maps.tables if isinstance(one, ListedTable)
        ]
        self._listed = Maps(title, listed)
        self._resolver = resolver.using(mailbox_maps=Maps(title, tables))
        self.count = 0
        self.has_failed = False
        self.entries: list[MailboxEntry] = []

    @property
    def recipients(self) -> list[bytes]:
        """The addresses with a mailbox."""
        return [one.recipient for one in self.entries]

    def add(self, address: bytes) -> bool:
        """Try an address; False if there is no use in trying another one."""
        self.count += 1
        try:
            if self._resolver.search(self._listed, address) is not None:
                return True  # read with its table
        except TableError:
            self.has_failed = True
            return False
        place = self._resolver.resolve(address)
        if not isinstance(place, Unknown):
            domain = address.rpartition(b"@")[2]
            self.entries.append(MailboxEntry(address, domain, place))
            self.has_failed = (
                isinstance(place, Misconfigured) and place.cause == "lookup"
            )
        return not self.has_failed


def _not_listed(subject: Subject, name: str, tried: _Tried) -> Problem:
    found = f"mailboxes found for {len(tried.entries)} of"
    return subject.problem(
        "PV209",
        f"{name}: the entries of this table cannot be listed; "
        + (
            f"{found} {counted(tried.count, 'address')} tried"
            if tried.count
            else "no address is known to try"
        ),
        "virtual_mailbox_maps",
        severity="info",
        item=name,
        remedy="check single addresses with postvirt explain",
    )
