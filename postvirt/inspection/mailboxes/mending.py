"""How to let the owners reach their mailboxes: a sentence, and commands if possible.

Raises: nothing.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from postvirt.inspection.mailboxes.grouped import Group
from postvirt.mailbox.obstacle import Obstacle, Trouble
from postvirt.model.mailbox import Owner
from postvirt.model.text import text

NO_MAILBOX = "PV206"
NO_DOT_LOCK = "PV411"

# The sentence, and commands.
Fix = tuple[str, tuple[str, ...]]

_WITHOUT_DOT_LOCK = (
    "let the owners of the mbox files write to their directory, or remove dotlock from "
    "virtual_mailbox_lock if every program that reads these files uses the other locks"
)
_BY_TROUBLE: dict[Trouble, str] = {
    "dangling": "remove the link, or create its target",
    "loop": "remove the link, or create its target",
    "kind": "replace it with a regular file, or remove it",
    "links": "remove the other names of the file",
    "symlink": "write the path of the file itself in the table, not of the link",
    "mount": "mount the whole maildir, and not a part of it",
    "default": "let its default access control list contain user::rwx",
    "other": "try to access it as the owner to see what is wrong",
}
_BY_ERRNO = {
    errno.EROFS: "mount the file system read-write",
    errno.EISDIR: 'end the path in the table with "/"',
    errno.ENOTDIR: "move the file away, or change the path in the table",
}


class Stopped(NamedTuple):
    """An owner who is stopped by an obstacle on the way to a mailbox."""

    owner: Owner
    obstacle: Obstacle
    mailbox: bytes


@dataclass(frozen=True, slots=True)
class Mending:
    """Finds the smallest change that helps.

    base              virtual_mailbox_base
    sees_all_owners   whether the owners of all mailboxes are known, so that a directory
                      can be given to its only user
    """

    base: bytes
    sees_all_owners: bool

    def of(self, code: str, group: Group[Stopped], owners: Sequence[Owner]) -> Fix:
        """What to do about an obstacle of these owners."""
        obstacle = group.details[0].obstacle
        if obstacle.number == errno.EROFS or (
            obstacle.trouble == "kind" and obstacle.number in _BY_ERRNO
        ):
            return _BY_ERRNO[obstacle.number], ()
        match obstacle.trouble:
            case "search":
                return self._let_own(obstacle, owners) or (
                    "grant search permission",
                    (_let_search(obstacle, owners),),
                )
            case "write" if code != NO_MAILBOX:
                return self._let_write(code, group, owners)
            case "write" | "owner":
                return "chown the files to their owners", _chown_files(group)
            case "missing":
                return "create the directories of the mbox files", _create(
                    (os.path.dirname(one.mailbox), one.owner) for one in group.details
                )
        return _BY_TROUBLE[obstacle.trouble], ()

    def _let_own(self, obstacle: Obstacle, owners: Sequence[Owner]) -> Fix | None:
        """Chown a directory of root to its only user; None if it is not that simple."""
        path, status = obstacle.path, obstacle.status
        base = self.base.rstrip(b"/")
        is_below = (path + b"/").startswith(base + b"/")
        is_only_user = self.sees_all_owners and len(owners) == 1
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
        group: Group[Stopped],
        owners: Sequence[Owner],
    ) -> Fix:
        """Chown a directory to its only user, or create what is missing in it."""
        fix = self._let_own(group.details[0].obstacle, owners)
        if fix:
            return fix
        if code == NO_DOT_LOCK:
            return _WITHOUT_DOT_LOCK, ()
        commands = _create(
            (one.obstacle.missing or os.path.dirname(one.mailbox), one.owner)
            for one in group.details
        )
        if group.has_all_details:
            return "create the missing directories", commands
        return "create the missing directories, for example", commands


def _let_search(obstacle: Obstacle, owners: Sequence[Owner]) -> str:
    """Grant search permission to as few users as possible."""
    status = obstacle.status
    who = "o"
    if status is not None:
        if {one.uid for one in owners} == {status.st_uid}:
            who = "u"
        elif {one.gid for one in owners} == {status.st_gid}:
            who = "g"
    return f"chmod {who}+x {_quoted(obstacle.path)}"


def _chown_files(group: Group[Stopped]) -> tuple[str, ...]:
    commands = []
    for owner, obstacle, _ in group.details:
        path = _quoted(obstacle.path)
        commands.append(f"chown -h {owner.uid}:{owner.gid} {path}")
        status = obstacle.status
        if status is not None and not status.st_mode & stat.S_IWUSR:
            commands.append(f"chmod u+rw {path}")
    return tuple(commands)


def _create(places: Iterator[tuple[bytes, Owner]]) -> tuple[str, ...]:
    return tuple(
        f"install -d -m 700 -o {owner.uid} -g {owner.gid} {_quoted(path)}"
        for path, owner in dict.fromkeys(places)
    )


def _quoted(path: bytes) -> str:
    return shlex.quote(text(path))
