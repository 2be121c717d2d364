"""Whether two addresses have one mailbox but different owners.

    PV215  such a mailbox: only the owner that created it can write to it

The places are put into a temporary database on disk, which the library removes: a
million of them need little memory.

Raises: nothing.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence

from postvirt.inspection.mailboxes.entry import Entry
from postvirt.inspection.mailboxes.grouped import Tally
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.model.mailbox import Mailbox
from postvirt.model.text import text

# A nameless database is a temporary file that is never committed nor synced.
_TEMPORARY = ""
_SHARED = """
    SELECT path, min(recipient), max(recipient) FROM places
    GROUP BY path HAVING min(owner) <> max(owner)
"""


class Sharing:
    """Remembers whose each mailbox is."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._trouble = ""
        self._database = sqlite3.connect(_TEMPORARY, isolation_level=None)
        self._try("CREATE TABLE places (path BLOB, owner TEXT, recipient BLOB)")
        self._try("BEGIN")

    def see(self, entries: Sequence[Entry]) -> None:
        """Put them into the database."""
        if self._trouble:
            return
        rows = [
            (
                re.sub(b"/+", b"/", entry.place.path),
                f"{entry.place.owner.uid}:{entry.place.owner.gid}",
                entry.recipient,
            )
            for entry in entries
            if isinstance(entry.place, Mailbox)
        ]
        try:
            self._database.executemany("INSERT INTO places VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            self._trouble = str(error)

    def problems(self) -> Iterator[Problem]:
        """The mailboxes that have several owners."""
        shared: Tally[str, None] = Tally()
        try:
            if not self._trouble:
                for path, one, other in self._database.execute(_SHARED):
                    example = f"{text(path)} of {text(one)} and {text(other)}"
                    shared.add("", example, None)
        except sqlite3.Error as error:
            self._trouble = str(error)
        finally:
            self._database.close()
        for _, same in shared:
            yield self._subject.problem(
                "PV215",
                f"different owners for one mailbox: {same.of('mailbox')}",
                "virtual_uid_maps",
                severity="warning",
                remedy="give all addresses of a mailbox the same uid and gid",
            )
        if self._trouble:
            yield self._subject.problem(
                "PV208",
                f"the owners of shared mailboxes were not compared: {self._trouble}",
                "virtual_mailbox_maps",
                severity="info",
                remedy="free some space for temporary files",
            )

    def _try(self, statement: str) -> None:
        try:
            self._database.execute(statement)
        except sqlite3.Error as error:
            self._trouble = str(error)
