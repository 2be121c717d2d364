"""Whether owners can reach their mailboxes, and whether there is room.

    PV202  a directory that cannot be searched
    PV203  a directory in which the missing part cannot be created
    PV204  no directory for an mbox file
    PV205  a symbolic link that leads nowhere
    PV206  something that a delivery does not accept as a mailbox
    PV208  mailboxes that could not be checked (information)
    PV217  owners who do not exist in this user namespace
    PV402  an mbox file above its limit
    PV411  no dot lock can be created beside an mbox file

Raises: nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from postvirt.config.lists import mailbox_locks
from postvirt.inspection import commands
from postvirt.inspection.mailboxes.common_directories import CommonDirectories
from postvirt.inspection.mailboxes.entries import MailboxEntry
from postvirt.inspection.mailboxes.grouped import Group, Grouped
from postvirt.inspection.mailboxes.mending import (
    NO_DOT_LOCK,
    NO_MAILBOX,
    Mending,
    Stopped,
)
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.mailbox.obstacle import Trouble
from postvirt.mailbox.walk import Walked, Walker
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.text import counted, text, wire
from postvirt.system import privileges

_CODES: dict[Trouble, str] = {
    "search": "PV202",
    "write": "PV203",
    "missing": "PV204",
    "dangling": "PV205",
    "loop": "PV205",
}
_OWNERS_SHOWN = 3

# Obstacles with the same code, trouble and directory are one; files count together.
_Cause = tuple[str, Trouble, bytes]


class Reach:
    """Walks to the mailbox of each entry.

    owner               of all mailboxes, if there is only one: when no entry is shown,
                        at least virtual_mailbox_base is checked for this owner
    every_entry_shown   so the owners of all mailboxes are known
    """

    def __init__(
        self, subject: Subject, owner: Owner | None, *, every_entry_shown: bool
    ) -> None:
        self._owner = owner
        settings = subject.settings
        self._directories = CommonDirectories()
        self._mending = Mending(
            wire(settings.virtual_mailbox_base),
            every_entry_shown or owner is not None,
            self._directories,
        )
        self._subject = subject
        self._limit = settings.virtual_mailbox_limit
        self._walker = Walker(
            dot_lock="dotlock" in mailbox_locks(settings.virtual_mailbox_lock),
            strict_ownership=settings.strict_mailbox_ownership,
        )
        self._obstacles: Grouped[_Cause, Stopped] = Grouped()
        self._owners: defaultdict[_Cause, dict[Owner, None]] = defaultdict(dict)
        self._too_large: Grouped[str, tuple[bytes, int]] = Grouped()
        self._refused: Counter[Owner] = Counter()
        self._walked = 0

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """Walk to their mailboxes, with one change of identity for each owner."""
        by_owner: dict[Owner, list[tuple[MailboxEntry, Mailbox]]] = defaultdict(list)
        for entry in entries:
            if isinstance(entry.place, Mailbox):
                by_owner[entry.place.owner].append((entry, entry.place))
        for owner, those in by_owner.items():
            paths = [mailbox.path for _, mailbox in those]
            self._directories.see(owner, paths)
            try:
                found = self._walker.walk_all(owner, paths)
            except PermissionError:
                self._refused[owner] += len(those)
                continue
            self._walked += len(found)
            for (entry, mailbox), walked in zip(those, found, strict=True):
                if walked.obstacle is not None or walked.size_bytes >= 0:
                    self._note(entry, mailbox, walked)

    def _note(self, entry: MailboxEntry, mailbox: Mailbox, walked: Walked) -> None:
        obstacle = walked.obstacle
        if obstacle is not None:
            code = _CODES.get(obstacle.trouble, NO_MAILBOX)
            is_box = obstacle.path == mailbox.path
            if walked.size_bytes >= 0 and obstacle.trouble == "write":
                code = NO_MAILBOX if is_box else NO_DOT_LOCK
            path = b"" if is_box else obstacle.path
            cause = (code, obstacle.trouble, path)
            met = Stopped(mailbox.owner, obstacle, mailbox.path)
            self._obstacles.add(cause, entry.recipient, met)
            owners = self._owners[cause]
            if len(owners) <= _OWNERS_SHOWN:
                owners[mailbox.owner] = None
        limit = self._limit if mailbox.limit is None else mailbox.limit.size_bytes
        if 0 < limit < walked.size_bytes:
            is_own = limit != self._limit
            self._too_large.add(
                str(limit) if is_own else "",
                entry.recipient,
                (mailbox.path, walked.size_bytes),
            )

    def _walk_to_base(self, owner: Owner) -> None:
        base = wire(self._subject.settings.virtual_mailbox_base)
        try:
            obstacle = self._walker.reach(owner, base)
        except PermissionError:
            if privileges.is_root():
                self._refused[owner] += 0
            return
        if obstacle is not None and obstacle.trouble in _CODES:
            cause = (_CODES[obstacle.trouble], obstacle.trouble, obstacle.path)
            self._obstacles.add(cause, "all of them", Stopped(owner, obstacle, base))
            self._owners[cause][owner] = None

    def problems(self) -> Iterator[Problem]:
        """What is in the way, and what is too large."""
        if not self._walked and self._owner is not None:
            self._walk_to_base(self._owner)
        for cause, group in self._obstacles:
            yield self._obstacle(cause, group)
        if self._obstacles.ungrouped:
            yield self._subject.problem(
                "PV203",
                f"{counted(self._obstacles.ungrouped, 'more mailbox')} cannot be "
                "reached for other reasons",
                "virtual_mailbox_maps",
                remedy="fix the ones shown, then check again",
            )
        for own_limit, large in self._too_large:
            yield self._above_own(own_limit, large) if own_limit else self._large(large)
        if self._refused:
            yield self._of_others() if privileges.is_root() else self._not_checked()

    def _of_others(self) -> Problem:
        """Users whom root may not act as."""
        refused = list(self._refused)
        shown = ", ".join(
            f"uid {one.uid} gid {one.gid}" for one in refused[:_OWNERS_SHOWN]
        )
        more = ", ..." if len(refused) > _OWNERS_SHOWN else ""
        count = self._refused.total()
        of = f": {counted(count, 'mailbox')}" if count else ""
        return self._subject.problem(
            "PV217",
            f"not even root can act as {shown}{more}{of}",
            "virtual_uid_maps",
            remedy="use numbers that exist in this user namespace (/proc/self/uid_map"
            " and gid_map), or give the container more of them (/etc/subuid)",
        )

    def _not_checked(self) -> Problem:
        return self._subject.problem(
            "PV208",
            f"{counted(self._refused.total(), 'mailbox')} of other users not checked",
            "virtual_mailbox_maps",
            severity="info",
            remedy="run this as root",
        )

    def _obstacle(self, cause: _Cause, group: Group[Stopped]) -> Problem:
        code, _, path = cause
        owners = list(self._owners[cause])
        shown = ", ".join(
            f"uid {one.uid} gid {one.gid}" for one in owners[:_OWNERS_SHOWN]
        )
        if len(owners) > _OWNERS_SHOWN:
            shown += ", ..."
        described = group.details[0].obstacle.describe(shown)
        of = "" if shown in described else f", owner {shown}"
        no_lock = "; no dot lock can be created" if code == NO_DOT_LOCK else ""
        remedy, commands = self._mending.of(code, group, owners)
        is_above = path and (self._mending.base + b"/").startswith(
            path.rstrip(b"/") + b"/"
        )
        return self._subject.problem(
            code,
            f"{described}{no_lock}: {group.counted('mailbox')}{of}",
            "virtual_mailbox_base" if is_above else "virtual_mailbox_maps",
            remedy=remedy,
            commands=commands,
        )

    def _above_own(self, limit: str, group: Group[tuple[bytes, int]]) -> Problem:
        path, size_bytes = max(group.details, key=lambda one: one[1])
        return self._subject.problem(
            "PV402",
            f"larger than {limit} in virtual_mailbox_limit_maps: "
            f"{group.counted('mbox file')}; {text(path)} has {size_bytes} bytes",
            "virtual_mailbox_limit_maps",
            remedy="raise the limit, or make the files smaller",
        )

    def _large(self, group: Group[tuple[bytes, int]]) -> Problem:
        path, size_bytes = max(group.details, key=lambda one: one[1])
        main_cf = self._subject.places.main_cf
        is_set = main_cf and main_cf.last_assignment("virtual_mailbox_limit")
        default = "" if is_set else " (the default)"
        return self._subject.problem(
            "PV402",
            f"larger than virtual_mailbox_limit = {self._limit}{default}: "
            f"{group.counted('mbox file')}; {text(path)} has {size_bytes} bytes",
            "virtual_mailbox_limit",
            remedy="raise the limit (0 means no limit), or make the files smaller",
            commands=commands.assign(
                self._subject.settings, "virtual_mailbox_limit", "0"
            ),
        )
