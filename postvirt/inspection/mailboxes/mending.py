"""How to let the owners reach their mailboxes: a sentence, and commands if possible.

Raises: nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from postvirt.inspection.command import Commands
from postvirt.inspection.mailboxes.common_directories import CommonDirectories
from postvirt.inspection.mailboxes.grouped import Group
from postvirt.inspection.path_commands import Place, place_of
from postvirt.mailbox.obstacle import Obstacle, Trouble, describe_link
from postvirt.model.mailbox import Owner
from postvirt.system.dry_run import refusal_of_access
from postvirt.system.path_control import Link
from postvirt.system.privileges import acting_as

NO_MAILBOX = "PV206"
NO_DOT_LOCK = "PV411"

# The sentence, and commands.
Fix = tuple[str, Commands]

_WITHOUT_DOT_LOCK = (
    "let the owners of the mbox files write to their directory, or remove dotlock from "
    "virtual_mailbox_lock if every program that reads these files uses the other locks"
)
_MOVE_AWAY = (
    "move the files away as the owners of their directory, who could replace them"
    " while root changes their owner; the next message creates new ones"
)
_BY_TROUBLE: dict[Trouble, str] = {
    "dangling": "remove the link, or create its target",
    "loop": "remove the link, or create its target",
    "kind": "replace it with a regular file, or remove it",
    "links": "remove the other names of the file",
    "symlink": "write the path of the file itself in the table, not of the link",
    "mount": "mount the whole maildir, and not a part of it",
    "default": "let its default access control list contain user::rwx",
    "other": "try to access it as the owner to see what is wrong; lsattr(1) shows "
    "whether it is immutable",
}
_BY_ERRNO = {
    errno.EROFS: "mount the file system read-write",
    errno.EISDIR: 'end the path in the table with "/"',
    errno.ENOTDIR: "move the file away, or change the path in the table",
}


# What more than mailboxes is in, or will be. It keeps its owner.
_OF_THE_SYSTEM = frozenset(
    b"/ /home /mail /media /mnt /opt /srv /usr /usr/local /var /var/lib /var/local"
    b" /var/mail /var/spool /var/spool/mail /var/www".split()
)
_ANOTHER_PLACE = (
    "have the mailboxes in a directory of their owner's own, not in one of the system's"
)


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
    directories       where their mailboxes are
    """

    base: bytes
    sees_all_owners: bool
    directories: CommonDirectories

    def of(self, code: str, group: Group[Stopped], owners: Sequence[Owner]) -> Fix:
        """What to do about an obstacle of these owners."""
        obstacle = group.details[0].obstacle
        if obstacle.number == errno.EROFS or (
            obstacle.trouble == "kind" and obstacle.number in _BY_ERRNO
        ):
            return _BY_ERRNO[obstacle.number], ()
        for owner, stopped_by, mailbox in group.details:
            for path in (stopped_by.path, mailbox):
                place = _place(path, owner)
                if place.link:
                    return _about_link(place.link), ()
        match obstacle.trouble:
            case "search":
                return self._let_own(group, owners) or (
                    "grant search permission",
                    _let_search(group.details[0], owners),
                )
            case "write" if code != NO_MAILBOX:
                return self._let_write(code, group, owners)
            case "write" | "owner":
                return _give_files(group)
            case "missing":
                return "create the directories of the mbox files", _create(
                    (os.path.dirname(one.mailbox), one.owner) for one in group.details
                )
        return _BY_TROUBLE[obstacle.trouble], ()

    def _let_own(self, group: Group[Stopped], owners: Sequence[Owner]) -> Fix | None:
        """Chown a directory of root to its only user; None if it is not that simple."""
        owner, obstacle, _ = group.details[0]
        path, status = obstacle.path, obstacle.status
        base = self.base.rstrip(b"/")
        is_below = (path + b"/").startswith(base + b"/")
        is_only_user = (
            self.sees_all_owners
            and len(owners) == 1
            and not self.directories.may_be_used_by_others(path.rstrip(b"/"), owner)
        )
        if status is None or not is_only_user or not is_below or _is_systems(path):
            return None
        place = _place(path, owner)
        if status.st_uid == owner.uid:
            return "grant the owner write permission", place.chmod("u+rwx", owner=owner)
        if status.st_uid == 0:
            commands = place.chown(owner.uid, owner.gid)
            if status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
                commands += place.chmod("u+rwx")
            return "chown the directory to the owner", commands
        return None

    def _let_write(
        self,
        code: str,
        group: Group[Stopped],
        owners: Sequence[Owner],
    ) -> Fix:
        """Chown a directory to its only user, or create what is missing in it."""
        fix = self._let_own(group, owners)
        if fix:
            return fix
        if code == NO_DOT_LOCK:
            return _WITHOUT_DOT_LOCK, ()
        is_all_there = not any(one.obstacle.missing for one in group.details)
        if is_all_there and _is_systems(group.details[0].obstacle.path):
            return _ANOTHER_PLACE, ()
        commands = _create(
            (one.obstacle.missing or os.path.dirname(one.mailbox), one.owner)
            for one in group.details
        )
        if group.has_all_details:
            return "create the missing directories", commands
        return "create the missing directories, for example", commands


def _is_systems(path: bytes) -> bool:
    return os.path.normpath(b"/" + path.strip(b"/")) in _OF_THE_SYSTEM


def _let_search(stopped: Stopped, owners: Sequence[Owner]) -> Commands:
    """Grant search permission to as few users as possible."""
    owner, obstacle, _ = stopped
    status = obstacle.status
    who = "o"
    if status is not None:
        if {one.uid for one in owners} == {status.st_uid}:
            who = "u"
        elif {one.gid for one in owners} == {status.st_gid}:
            who = "g"
    return _place(obstacle.path, owner).chmod(f"{who}+x", owner=owner)


def _give_files(group: Group[Stopped]) -> Fix:
    """Let the owners write to their mbox files, or to new ones."""
    commands: Commands = ()
    is_moved = False
    for owner, obstacle, _ in group.details:
        place = _place(obstacle.path, owner)
        status = obstacle.status
        is_others = status is not None and status.st_uid != owner.uid
        if is_others:
            commands += place.give_file(owner)
            if not place.way.is_roots:
                is_moved = True
                continue
        if status is not None and not status.st_mode & stat.S_IWUSR:
            commands += place.chmod("u+rw", owner=owner)
    if is_moved:
        return _MOVE_AWAY, commands
    return "chown the files to their owners", commands


def _create(places: Iterator[tuple[bytes, Owner]]) -> Commands:
    commands: Commands = ()
    for path, owner in dict.fromkeys(places):
        with acting_as(owner):
            place = place_of(path)
            refused = refusal_of_access(place.way.nearest, os.W_OK | os.X_OK)
        by_owner = None if refused else owner
        commands += place.create(owner.uid, owner.gid, by_owner=by_owner)
    return commands


def _place(path: bytes, owner: Owner) -> Place:
    """A place, examined as an owner who may be the only one who can reach it."""
    with acting_as(owner):
        return place_of(path)


def _about_link(link: Link) -> str:
    """Why there are no commands."""
    return (
        f"{describe_link(link)}; a command would change what it leads to, so let its"
        " owner replace it, or change the path in the table"
    )
