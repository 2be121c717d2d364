"""Whether virtual_mailbox_lock suits the other program that locks mbox files.

    PV412  no lock that Dovecot uses, too
    PV413  the same locks in a different order (information)
    PV604  locks that do not work on a network file system

The delivery agent creates a dot lock first, then locks with flock, then with fcntl, in
whatever order virtual_mailbox_lock names them.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from postvirt.config.lists import mailbox_locks, words
from postvirt.inspection import commands
from postvirt.inspection.machine.storage import check_network_locks
from postvirt.inspection.mailboxes.dovecot import Setting, settings_of, uses_mbox
from postvirt.inspection.mailboxes.entries import MailboxEntry
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.model.mailbox import Mailbox

_ORDER = ("dotlock", "flock", "fcntl")
# Dovecot's words for the same things; lockf(3) is fcntl on this system.
_SAME = {"dotlock_try": "dotlock", "lockf": "fcntl"}


class Locks:
    """Compares with mbox_write_locks of Dovecot, once there is an mbox file."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._has_mbox = False

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """EntryCheck for an mbox file."""
        if not self._has_mbox:
            self._has_mbox = any(
                isinstance(entry.place, Mailbox) and not entry.place.is_maildir
                for entry in entries
            )

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the locks, if there is anything to lock."""
        if self._has_mbox:
            yield from check_network_locks(self._subject)
            yield from _compare(self._subject)


def _compare(subject: Subject) -> Iterator[Problem]:
    settings = settings_of(subject.extent.dovecot)
    theirs = settings.get("mbox_write_locks")
    if theirs is None or not uses_mbox(settings):
        return
    names = [_SAME.get(word, word) for word in words(theirs.value)]
    ours = mailbox_locks(subject.settings.virtual_mailbox_lock)
    common = [name for name in names if name in ours]
    if not common:
        yield _nothing_in_common(subject, theirs, names)
    elif [name for name in _ORDER if name in common] != common:
        order = " ".join(sorted(names, key=lambda one: (*_ORDER, one).index(one)))
        yield Problem(
            "PV413",
            f"Dovecot locks mbox files with {theirs.value}, in a different order than "
            "the delivery agent",
            severity="info",
            origin=theirs.origin,
            remedy=f"set mbox_write_locks = {order}",
        )


def _nothing_in_common(subject: Subject, theirs: Setting, names: list[str]) -> Problem:
    known = [name for name in _ORDER if name in names]
    parameter = "virtual_mailbox_lock"
    value = ", ".join(known)
    return subject.problem(
        "PV412",
        f"virtual_mailbox_lock = {subject.settings.virtual_mailbox_lock}, but Dovecot "
        f"locks mbox files with {theirs.value} ({theirs.origin.file}, line "
        f"{theirs.origin.line})",
        parameter,
        remedy=f"use a lock that both programs use, such as {value or 'fcntl'}",
        commands=commands.assign(subject.settings, parameter, value) if known else (),
    )
