"""Whether two addresses have one mailbox but different owners.

    PV215  such a mailbox: only the owner that created it can write to it

Raises: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from postvirt.inspection.mailboxes.entries import MailboxEntry
from postvirt.inspection.mailboxes.grouped import Grouped
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.inspection.temporary_rows import TemporaryRows
from postvirt.model.mailbox import Mailbox
from postvirt.model.text import text

_SHARED = """
    SELECT path, min(recipient), max(recipient) FROM found
    GROUP BY path HAVING min(owner) <> max(owner)
"""


class Sharing:
    """Remembers whose each mailbox is."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._rows = TemporaryRows("path BLOB, owner TEXT, recipient BLOB")

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """Remember them."""
        for entry in entries:
            if isinstance(entry.place, Mailbox):
                path = re.sub(b"/+", b"/", entry.place.path)
                owner = entry.place.owner
                self._rows.add((path, f"{owner.uid}:{owner.gid}", entry.recipient))

    def problems(self) -> Iterator[Problem]:
        """The mailboxes that have several owners."""
        shared: Grouped[str, None] = Grouped()
        for path, one, other in self._rows.ask(_SHARED):
            shared.add("", f"{text(path)} of {text(one)} and {text(other)}", None)
        self._rows.close()
        for _, group in shared:
            yield self._subject.problem(
                "PV215",
                f"different owners for one mailbox: {group.counted('mailbox')}",
                "virtual_uid_maps",
                severity="warning",
                remedy="give all addresses of a mailbox the same uid and gid",
            )
        if self._rows.trouble:
            yield self._subject.problem(
                "PV208",
                "the owners of shared mailboxes were not compared:"
                f" {self._rows.trouble}",
                "virtual_mailbox_maps",
                severity="info",
                remedy="free some space for temporary files",
            )
