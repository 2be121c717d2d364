"""Whether the use of maildirs can be kept in their maildirsize.

    PV423  a maildir that is counted for each message, which takes time

Without virtual_create_maildirsize all are counted, and with
virtual_mailbox_limit_inbox their new/ and cur/. With it, maildirsize must be a regular
file that the owner can read and write, or they must be able to create it.

Raises: nothing.
Security: file names are in the hands of the owner, and what is found may be something
else a moment later: it is a report for a person.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence

from postvirt.config.quota_settings import quota_rules
from postvirt.inspection.command import Commands
from postvirt.inspection.commands import assign
from postvirt.inspection.mailboxes.entries import MailboxEntry
from postvirt.inspection.mailboxes.grouped import Grouped
from postvirt.inspection.path_commands import place_of
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.quota import NO_LIMIT
from postvirt.model.text import text
from postvirt.system.dry_run import refusal_of_access
from postvirt.system.privileges import acting_as

_NAMES_CAN_BE_CREATED = os.W_OK | os.X_OK


class SizeFiles:
    """Asks the kernel as the owners; maildirs without a limit need no file."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._keeps_file = quota_rules(subject.settings).keeps_size_file
        self._counted = 0
        self._without: Grouped[str, tuple[bytes, Owner]] = Grouped()

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """Check some more maildirs."""
        by_owner: dict[Owner, list[tuple[bytes, bytes]]] = defaultdict(list)
        for entry in entries:
            place = entry.place
            if (
                isinstance(place, Mailbox)
                and place.is_maildir
                and place.limit not in (None, NO_LIMIT)
            ):
                self._counted += 1
                by_owner[place.owner].append((entry.recipient, place.path))
        if not self._keeps_file:
            return
        for owner, those in by_owner.items():
            try:
                with acting_as(owner):
                    found = [(one, path, _trouble(path)) for one, path in those]
            except PermissionError:
                continue  # reported with the mailboxes
            for recipient, path, trouble in found:
                if trouble:
                    self._without.add(trouble, recipient, (path, owner))

    def problems(self) -> Iterator[Problem]:
        """Which are counted for each message, and why."""
        if self._counted and not self._keeps_file:
            yield from self._all_counted()
        for trouble, group in self._without:
            maildir, owner = group.details[0]
            commands: Commands = ()
            for one in group.details if group.has_all_details else ():
                commands += _mending(trouble, *one)
            yield self._subject.problem(
                "PV423",
                f"{text(maildir)}maildirsize {trouble} (uid {owner.uid}):"
                f" {group.counted('maildir')}",
                "virtual_create_maildirsize",
                severity="warning",
                remedy="let the owner write to the maildir"
                if trouble == _CANNOT_BE_CREATED
                else "move it away, so that it is created again",
                commands=commands,
            )

    def _all_counted(self) -> Iterator[Problem]:
        settings = self._subject.settings
        if settings.virtual_mailbox_limit_inbox:
            yield self._subject.problem(
                "PV423",
                "with virtual_mailbox_limit_inbox = yes the INBOX is counted for each"
                " message",
                "virtual_mailbox_limit_inbox",
                severity="info",
                remedy="none needed while mailboxes are small",
            )
            return
        yield self._subject.problem(
            "PV423",
            "virtual_create_maildirsize = no: maildirs are counted for each message",
            "virtual_create_maildirsize",
            severity="info",
            remedy="keep their use in maildirsize",
            commands=assign(settings, "virtual_create_maildirsize", "yes"),
        )


_IS_LINK = "is a symbolic link"
_IS_NO_FILE = "is not a regular file"
_CANNOT_BE_READ = "cannot be read and written by the owner"
_CANNOT_BE_CREATED = "cannot be created by the owner"


def _mending(trouble: str, maildir: bytes, owner: Owner) -> Commands:
    if trouble != _CANNOT_BE_CREATED:
        return place_of(maildir + b"maildirsize").give_file(owner)
    place = place_of(maildir)
    if place.status is not None and place.status.st_uid == owner.uid:
        return place.chmod("u+rwx", owner=owner)
    return place.chown(owner.uid, owner.gid)


def _trouble(maildir: bytes) -> str:
    """What keeps the owner from using maildirsize; "" if nothing does."""
    path = maildir + b"maildirsize"
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        number = refusal_of_access(maildir + b".", _NAMES_CAN_BE_CREATED)
        return "" if number in (0, errno.ENOENT) else _CANNOT_BE_CREATED
    except (OSError, ValueError):
        return ""  # reported with the mailbox
    if stat.S_ISLNK(status.st_mode):
        return _IS_LINK
    if not stat.S_ISREG(status.st_mode):
        return _IS_NO_FILE
    return _CANNOT_BE_READ if refusal_of_access(path, os.R_OK | os.W_OK) else ""
