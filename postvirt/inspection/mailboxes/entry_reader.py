"""Read mailbox tables entry by entry, and show the entries to checks in batches.

Raises: TableError when a table cannot be read to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from postvirt.delivery.resolve import Resolver
from postvirt.inspection.mailboxes.entries import EntryCheck, MailboxEntry, recipient_of
from postvirt.model.mailbox import Unknown
from postvirt.tables.table import ListedTable

# The number of entries that the checks are shown at once.
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """How many entries to read, of all tables that can be listed; 0 for all of them.

    totals   the number of entries of each table
    is_slow  whether each entry takes a query to a server
    """

    wanted: int
    totals: Mapping[ListedTable, int]
    is_slow: bool

    @property
    def total(self) -> int:
        """The number of all entries."""
        return sum(self.totals.values())

    @property
    def is_partial(self) -> bool:
        """Whether entries are skipped."""
        return 0 < self.wanted < self.total

    def takes(self, table: ListedTable, number: int) -> bool:
        """Whether an entry of a table belongs to the sample, which is spread evenly."""
        share, total = self.share(table), self.totals[table]
        return number * share // total != (number - 1) * share // total

    def share(self, table: ListedTable) -> int:
        """The number of entries to read of one table, at least one."""
        if not self.is_partial:
            return self.totals[table]
        return max(1, self.wanted * self.totals[table] // self.total)


class EntryReader:
    """Looks entries up with the daemon's own search, and shows them to all checks.

    bare    is told of the keys of no address
    """

    def __init__(
        self,
        resolver: Resolver,
        checks: Sequence[EntryCheck],
        bare: Callable[[bytes], None],
        progress: Callable[[str, int, int], None],
    ) -> None:
        self._resolver = resolver
        self._checks = checks
        self._bare = bare
        self._progress = progress

    def read(self, table: ListedTable, sample: Sample) -> None:
        """Show the entries of a table that belong to the sample."""
        batch: list[bytes] = []
        done = 0
        try:
            for number, (key, _) in enumerate(table.entries()):
                if sample.is_partial and not sample.takes(table, number):
                    continue
                batch.append(key)
                done += 1
                if len(batch) >= _BATCH:
                    self._show_keys(batch)
                    batch.clear()
                    self._progress(table.title, done, sample.share(table))
        finally:
            self._show_keys(batch)
            self._progress(table.title, 0, 0)

    def show(self, recipients: Sequence[bytes]) -> None:
        """Show the entries that a delivery to these recipients finds."""
        entries = []
        for recipient in recipients:
            place = self._resolver.resolve(recipient)
            # A key in the wrong form is never found.
            if not isinstance(place, Unknown):
                domain = recipient.rpartition(b"@")[2]
                entries.append(MailboxEntry(recipient, domain, place))
        for check in self._checks:
            check.see(entries)

    def _show_keys(self, keys: Sequence[bytes]) -> None:
        recipients = [one for key in keys if (one := recipient_of(key))]
        self.show(recipients)
        if len(recipients) < len(keys):
            for key in keys:
                if not recipient_of(key):
                    self._bare(key)
