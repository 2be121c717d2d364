"""Whether the values of virtual_mailbox_maps are the paths that were meant.

    PV218  comments, quotes and the like, which are part of the path
    PV219  virtual_mailbox_base in front of a whole path
    PV220  what was not meant as a path at all
    PV221  an mbox file where a maildir is meant

What such a mailbox lacks is of no interest: its directories should not be created.

Raises: nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from postvirt.inspection.mailboxes.entries import EntryCheck, MailboxEntry
from postvirt.inspection.mailboxes.existing import Directories
from postvirt.inspection.mailboxes.grouped import Group, Grouped
from postvirt.inspection.mailboxes.misreadings import Misreading, misreading_of
from postvirt.inspection.mailboxes.whole_paths import WholePaths
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.model.mailbox import Mailbox, Owner, Resolution
from postvirt.model.text import counted, text, wire

# Most paths of most installations, without bytes that may begin an invisible space.
_NAME = rb"[\w.@+\x80-\xc1\xc3-\xe1\xe3-\xee\xf0-\xff-]"
_USUAL = re.compile(rb"(?:%b+/)+(?!\.?(?i:maildir)\Z)%b*\Z" % (_NAME, _NAME))
_MAILDIR = re.compile(rb"(?:.*/)?\.?maildir\Z", re.DOTALL | re.IGNORECASE)
_ADDRESS = re.compile(rb"[^/\s,@]+@[\w-]+(?:\.[\w-]+)+\Z")

# Among so many maildirs, an mbox file may be a forgotten slash.
_RARE = 10


class Values:
    """Counts values by what they were meant as, and shows the others to more checks.

    find    the daemon's own search for a recipient
    """

    def __init__(
        self,
        subject: Subject,
        find: Callable[[bytes], Resolution],
        others: Sequence[EntryCheck],
    ) -> None:
        self._subject = subject
        self._find = find
        self._others = others
        self._base = wire(subject.settings.virtual_mailbox_base)
        self._directories = Directories()
        self._whole_paths = WholePaths(self._base, self._directories)
        self._found: Grouped[Misreading, bytes] = Grouped()
        self._mbox_files: Grouped[str, None] = Grouped()
        self._maildirs = 0
        self._own_addresses = 0

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """Check their values."""
        start = len(self._base) + 1
        beginnings = self._whole_paths.beginnings
        passed_on = []
        for entry in entries:
            place = entry.place
            if isinstance(place, Mailbox):
                value = place.path[start:]
                if not _USUAL.match(value) or value.startswith(beginnings):
                    misreading = self._misreading(entry.recipient, value, place)
                    if misreading is not None:
                        self._found.add(misreading, entry.recipient, place.path)
                        continue
                if place.is_maildir:
                    self._maildirs += 1
                else:
                    self._mbox_files.add("", entry.recipient, None)
                    self._own_addresses += value == entry.recipient
            passed_on.append(entry)
        for check in self._others:
            check.see(passed_on)

    def _misreading(
        self, recipient: bytes, value: bytes, place: Mailbox
    ) -> Misreading | None:
        found = misreading_of(value, recipient)
        if found is None:
            found = self._whole_paths.misreading_of(value, place.owner)
        if found is not None:
            return found
        if _MAILDIR.match(value):
            return Misreading(
                "PV221",
                "a path without a slash at its end is an mbox file",
                f"end the paths with a slash, as in {text(value)}/",
                "warning",
            )
        if value in (recipient, recipient.rpartition(b"@")[0]):
            return self._beside_a_directory(recipient, place.owner)
        if _ADDRESS.match(value):
            return self._not_forwarded(value, place)
        return None

    def _not_forwarded(self, value: bytes, place: Mailbox) -> Misreading | None:
        """Another address, unless its mailbox has that name."""
        there = self._find(value)
        if isinstance(there, Mailbox) and there.path == place.path:
            return None
        return Misreading(
            "PV220",
            "mail is not forwarded to an address in this table",
            "write the address in virtual_alias_maps to forward mail",
        )

    def _beside_a_directory(self, recipient: bytes, owner: Owner) -> Misreading | None:
        """A name where a table should return a path, if there is a directory."""
        local, _, domain = recipient.rpartition(b"@")
        path = b"%b/%b/%b" % (self._base, domain, local)
        if not self._directories.has(owner, path):
            return None
        return Misreading(
            "PV221",
            "a name without a slash is an mbox file, although there are directories"
            f" such as {text(path)}",
            "let the table return the directory with a slash at its end, as in"
            f" {text(domain)}/{text(local)}/, if mail is read there",
            "warning",
        )

    def problems(self) -> Iterator[Problem]:
        """What was meant, and what the other checks found."""
        for misreading, group in self._found:
            yield self._problem(misreading, group)
        if self._found.ungrouped:
            yield self._subject.problem(
                "PV220",
                f"{counted(self._found.ungrouped, 'more value')} of that kind",
                "virtual_mailbox_maps",
                remedy="fix the ones shown, then check again",
            )
        for _, files in self._mbox_files:
            if files.count == self._own_addresses and not self._maildirs:
                yield self._subject.problem(
                    "PV221",
                    f"{files.counted('mailbox')}, which are mbox files with the names"
                    " of their addresses",
                    "virtual_mailbox_maps",
                    severity="info",
                    remedy="none needed if that is intended; a list of recipients for"
                    " another program looks like that, too",
                )
            elif files.count * _RARE <= self._maildirs:
                yield self._subject.problem(
                    "PV221",
                    f"{files.counted('mailbox')} without a slash at the end, which are"
                    f" mbox files; the other {self._maildirs} are maildirs",
                    "virtual_mailbox_maps",
                    severity="info",
                    remedy="none needed if that is intended",
                )
        for check in self._others:
            yield from check.problems()

    def _problem(self, misreading: Misreading, group: Group[bytes]) -> Problem:
        such = "" if len(group.details) == 1 else "paths such as "
        return self._subject.problem(
            misreading.code,
            f"{misreading.what}: mail for {group.counted('recipient')} goes to"
            f' {such}"{text(group.details[0])}"',
            "virtual_mailbox_maps",
            severity=misreading.severity,
            remedy=misreading.remedy,
        )
