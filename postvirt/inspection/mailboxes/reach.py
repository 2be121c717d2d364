"""Whether owners can reach their mailboxes, and whether there is room.

    PV202  a directory that cannot be searched
    PV203  a directory in which the missing part cannot be created
    PV204  no directory for an mbox file
    PV205  a symbolic link that leads nowhere
    PV206  something that a delivery does not accept as a mailbox
    PV208  mailboxes that could not be checked (information)
    PV402  an mbox file above virtual_mailbox_limit
    PV411  no dot lock can be created beside an mbox file

Raises: nothing.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence

from postvirt.config.lists import mailbox_locks
from postvirt.inspection import commands
from postvirt.inspection.mailboxes.entries import MailboxEntry
from postvirt.inspection.mailboxes.grouped import Group, Grouped
from postvirt.inspection.problem import Problem
from postvirt.inspection.subject import Subject
from postvirt.mailbox.obstacle import Obstacle, Trouble
from postvirt.mailbox.walk import Walked, Walker
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.text import counted, text, wire

_CODES: dict[Trouble, str] = {
    "search": "PV202",
    "write": "PV203",
    "missing": "PV204",
    "dangling": "PV205",
    "loop": "PV205",
}
_NO_MAILBOX = "PV206"
_DOT_LOCK = "PV411"

_OWNERS_SHOWN = 3

_WITHOUT_DOT_LOCK = (
    "let the owners of the mbox files write to their directory, or remove dotlock from "
    "virtual_mailbox_lock if every program that reads these files uses the other locks"
)

# Obstacles with the same code, trouble and directory are one; files count together.
_Cause = tuple[str, Trouble, bytes]
# An occurrence: the owner, the obstacle, and the mailbox behind it.
_Met = tuple[Owner, Obstacle, bytes]


class Reach:
    """Walks to the mailbox of each entry.

    owner      of all mailboxes, if there is only one: when no entry is shown, at least
               virtual_mailbox_base is checked for this owner
    sees_all   every entry will be shown, so the owners of all mailboxes are known
    """

    def __init__(
        self, subject: Subject, owner: Owner | None, *, sees_all: bool
    ) -> None:
        self._owner = owner
        self._sees_all_owners = sees_all or owner is not None
        settings = subject.settings
        self._subject = subject
        self._limit = settings.virtual_mailbox_limit
        self._walker = Walker(
            dot_lock="dotlock" in mailbox_locks(settings.virtual_mailbox_lock),
            strict_ownership=settings.strict_mailbox_ownership,
        )
        self._obstacles: Grouped[_Cause, _Met] = Grouped()
        self._owners: defaultdict[_Cause, dict[Owner, None]] = defaultdict(dict)
        self._too_large: Grouped[str, tuple[bytes, int]] = Grouped()
        self._not_looked_at = 0
        self._walked = 0

    def see(self, entries: Sequence[MailboxEntry]) -> None:
        """Walk to their mailboxes, with one change of identity for each owner."""
        by_owner: dict[Owner, list[tuple[MailboxEntry, Mailbox]]] = defaultdict(list)
        for entry in entries:
            if isinstance(entry.place, Mailbox):
                by_owner[entry.place.owner].append((entry, entry.place))
        for owner, those in by_owner.items():
            paths = [mailbox.path for _, mailbox in those]
            try:
                found = self._walker.walk_all(owner, paths)
            except PermissionError:
                self._not_looked_at += len(those)
                continue
            self._walked += len(found)
            for (entry, mailbox), walked in zip(those, found, strict=True):
                if walked.obstacle is not None or walked.size_bytes >= 0:
                    self._note(entry, mailbox, walked)

    def _note(self, entry: MailboxEntry, mailbox: Mailbox, walked: Walked) -> None:
        obstacle = walked.obstacle
        if obstacle is not None:
            code = _CODES.get(obstacle.trouble, _NO_MAILBOX)
            is_box = obstacle.path == mailbox.path
            if walked.size_bytes >= 0 and obstacle.trouble == "write":
                code = _NO_MAILBOX if is_box else _DOT_LOCK
            path = b"" if is_box else obstacle.path
            cause = (code, obstacle.trouble, path)
            met = (mailbox.owner, obstacle, mailbox.path)
            self._obstacles.add(cause, entry.recipient, met)
            owners = self._owners[cause]
            if len(owners) <= _OWNERS_SHOWN:
                owners[mailbox.owner] = None
        if 0 < self._limit < walked.size_bytes:
            self._too_large.add("", entry.recipient, (mailbox.path, walked.size_bytes))

    def _walk_to_base(self, owner: Owner) -> None:
        base = wire(self._subject.settings.virtual_mailbox_base)
        try:
            obstacle = self._walker.reach(owner, base)
        except PermissionError:
            return
        if obstacle is not None and obstacle.trouble in _CODES:
            cause = (_CODES[obstacle.trouble], obstacle.trouble, obstacle.path)
            self._obstacles.add(cause, "all of them", (owner, obstacle, base))
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
        for _, large in self._too_large:
            yield self._large(large)
        if self._not_looked_at:
            yield self._subject.problem(
                "PV208",
                f"{counted(self._not_looked_at, 'mailbox')} of other users not checked",
                "virtual_mailbox_maps",
                severity="info",
                remedy="run this as root",
            )

    def _obstacle(self, cause: _Cause, group: Group[_Met]) -> Problem:
        code, _, path = cause
        owners = list(self._owners[cause])
        shown = ", ".join(
            f"uid {one.uid} gid {one.gid}" for one in owners[:_OWNERS_SHOWN]
        )
        if len(owners) > _OWNERS_SHOWN:
            shown += ", ..."
        _, obstacle, _ = group.details[0]
        described = obstacle.describe(shown)
        of = "" if shown in described else f", owner {shown}"
        no_lock = "; no dot lock can be created" if code == _DOT_LOCK else ""
        remedy, commands = self._mending(code, group, owners)
        base = wire(self._subject.settings.virtual_mailbox_base)
        is_above = path and (base + b"/").startswith(path.rstrip(b"/") + b"/")
        return self._subject.problem(
            code,
            f"{described}{no_lock}: {group.counted('mailbox')}{of}",
            "virtual_mailbox_base" if is_above else "virtual_mailbox_maps",
            remedy=remedy,
            commands=commands,
        )

    def _mending(
        self, code: str, group: Group[_Met], owners: Sequence[Owner]
    ) -> tuple[str, tuple[str, ...]]:
        """One sentence, and commands where they can be given."""
        _, obstacle, _ = group.details[0]
        if obstacle.number == errno.EROFS:
            return "mount the file system read-write", ()
        match obstacle.trouble:
            case "search":
                return self._let_own(obstacle, owners) or (
                    "grant search permission",
                    (_let_pass(obstacle, owners),),
                )
            case "write" if code == _NO_MAILBOX:
                return "chown the files to their owners", _give(group)
            case "write":
                return self._let_write(code, obstacle, group, owners)
            case "missing":
                return "create the directories of the mbox files", _make(
                    (os.path.dirname(path), owner) for owner, _, path in group.details
                )
            case "dangling" | "loop":
                return "remove the link, or create its target", ()
            case "owner":
                return "chown the files to their owners", _give(group)
            case "kind" if obstacle.number == errno.EISDIR:
                return 'end the path in the table with "/"', ()
            case "kind" if obstacle.number == errno.ENOTDIR:
                return (
                    "move the file away, or change the path in the table",
                    (),
                )
            case "kind":
                return "replace it with a regular file, or remove it", ()
            case "links":
                return "remove the other names of the file", ()
            case "symlink":
                return (
                    "write the path of the file itself in the table, not of the link",
                    (),
                )
        return "try to access it as the owner to see what is wrong", ()

    def _let_own(
        self, obstacle: Obstacle, owners: Sequence[Owner]
    ) -> tuple[str, tuple[str, ...]] | None:
        """Chown a directory of root to its only user; None if it is not that simple."""
        path, status = obstacle.path, obstacle.status
        base = wire(self._subject.settings.virtual_mailbox_base).rstrip(b"/")
        is_below = (path + b"/").startswith(base + b"/")
        is_only_user = self._sees_all_owners and len(owners) == 1
        if status is None or not is_only_user or not is_below:
            return None
        owner = owners[0]
        let_write = f"chmod u+rwx {_quoted(path)}"
        if status.st_uid == owner.uid:
            return "grant the owner write permission", (let_write,)
        if status.st_uid == 0:
            give = f"chown {owner.uid}:{owner.gid} {_quoted(path)}"
            return "chown the directory to the owner", (give, let_write)
        return None

    def _let_write(
        self,
        code: str,
        obstacle: Obstacle,
        group: Group[_Met],
        owners: Sequence[Owner],
    ) -> tuple[str, tuple[str, ...]]:
        """Chown a directory to its only user, or create what is missing in it."""
        mending = self._let_own(obstacle, owners)
        if mending:
            return mending
        if code == _DOT_LOCK:
            return _WITHOUT_DOT_LOCK, ()
        commands = _make(
            (found.missing or os.path.dirname(mailbox), owner)
            for owner, found, mailbox in group.details
        )
        if group.has_all_details:
            return "create the missing directories", commands
        return "create the missing directories, for example", commands

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
            commands=(
                commands.assign(self._subject.settings, "virtual_mailbox_limit", "0"),
            ),
        )


def _let_pass(obstacle: Obstacle, owners: Sequence[Owner]) -> str:
    """Grant search permission to as few users as possible."""
    status = obstacle.status
    who = "o"
    if status is not None:
        if {one.uid for one in owners} == {status.st_uid}:
            who = "u"
        elif {one.gid for one in owners} == {status.st_gid}:
            who = "g"
    return f"chmod {who}+x {_quoted(obstacle.path)}"


def _give(group: Group[_Met]) -> tuple[str, ...]:
    commands = []
    for owner, obstacle, _ in group.details:
        path = _quoted(obstacle.path)
        commands.append(f"chown -h {owner.uid}:{owner.gid} {path}")
        status = obstacle.status
        if status is not None and not status.st_mode & stat.S_IWUSR:
            commands.append(f"chmod u+rw {path}")
    return tuple(commands)


def _make(places: Iterator[tuple[bytes, Owner]]) -> tuple[str, ...]:
    return tuple(
        f"install -d -m 700 -o {owner.uid} -g {owner.gid} {_quoted(path)}"
        for path, owner in dict.fromkeys(places)
    )


def _quoted(path: bytes) -> str:
    return shlex.quote(text(path))
