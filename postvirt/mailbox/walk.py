"""Walk to a mailbox as its owner, and find the first place that stops a delivery.

The kernel answers, asked as the owner: modes, access lists, read-only mounts and
symbolic links count as they will for the delivery. Nothing is made, opened or changed.

    maildir  tmp/ and new/ have to be directories in which the owner can make names, or
             the deepest directory that exists has to be, so that he can make the rest
    mbox     the file has to be one that a delivery takes, writable for its owner; where
             there is none, and for a dot lock, its directory has to be writable.
             Directories are not made

Parity: src/virtual/maildir.c, src/virtual/mailbox.c, src/util/safe_open.c as
`mailbox` and `system.safe_open` follow them.
Raises: PermissionError from `Walker.walk` when this process cannot act as the owner.
Security: file names are in the hands of the owner. What is found may be something else
a moment later: it is a report for a person, and no delivery relies on it.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.text import text
from postvirt.system.log import errno_text
from postvirt.system.privileges import acting_as

# search     a directory that the owner may not pass through
# write      a directory or an mbox file that the owner may not write to
# missing    there is nothing, and nobody makes it
# dangling   a symbolic link that leads nowhere
# loop       symbolic links that lead to each other
# kind       a file where a directory has to be, or the other way round, or a device
# links      an mbox file with several names
# symlink    an mbox file that is a symbolic link which is not root's
# owner      an mbox file that somebody else owns
# other      the kernel says something else
Trouble = Literal[
    "search",
    "write",
    "missing",
    "dangling",
    "loop",
    "kind",
    "links",
    "symlink",
    "owner",
    "other",
]

# So many links the kernel follows in one path.
_MOST_LINKS = 40
# So many directories are remembered; a table may have a million of them.
_MOST_REMEMBERED = 50_000

_NAMES_CAN_BE_MADE = os.W_OK | os.X_OK


@dataclass(frozen=True, slots=True)
class Obstacle:
    """The first place on the way that stops the owner.

    path      the directory or the file
    trouble   what is wrong with it
    number    the errno that a delivery would meet, 0 when it is refused without one
    status    of path, None when it is not there
    missing   the first directory below path that the owner cannot make, b"" for none
    link      the symbolic link through which path was reached, b"" for none
    """

    path: bytes
    trouble: Trouble
    number: int
    status: os.stat_result | None = None
    missing: bytes = b""
    link: bytes = b""

    def describe(self, who: str = "the owner") -> str:
        """What is wrong, as a sentence; `who` is stopped by it."""
        details = [owner_and_mode(self.status)] if self.status is not None else []
        if self.link:
            details.append(f"reached through the symbolic link {text(self.link)}")
        place = text(self.path) + (f" ({'; '.join(details)})" if details else "")
        match self.trouble:
            case "search":
                return f"{who} cannot search {place}"
            case "write" if self.number != errno.EROFS and self.missing:
                return f"{who} cannot create {text(self.missing)} in {place}"
            case "write" if self.number != errno.EROFS:
                return f"{who} cannot write to {place}"
        return f"{place} {self._words()}"

    def _words(self) -> str:
        is_directory = self.status is not None and stat.S_ISDIR(self.status.st_mode)
        match self.trouble:
            case "write":
                return "is on a file system that is mounted read-only"
            case "missing":
                return "does not exist"
            case "dangling":
                return "is a symbolic link that leads nowhere"
            case "loop":
                return "is a symbolic link that leads back to itself"
            case "kind" if is_directory:
                return "is a directory, but the table names a file"
            case "kind" if self.number == errno.ENOTDIR:
                return "is not a directory"
            case "kind":
                return "is not a regular file"
            case "links":
                return "is a file with several names (hard links)"
            case "symlink":
                return "is a symbolic link that someone other than root could have made"
            case "owner":
                return "does not belong to the owner that the tables give"
        return f"cannot be used: {errno_text(OSError(self.number, ''))}"


@dataclass(frozen=True, slots=True)
class Walked:
    """What was found at the end of the way.

    obstacle    None when a delivery would get there
    size_bytes  of an mbox file that is there, otherwise -1
    """

    obstacle: Obstacle | None
    size_bytes: int = -1


class Walker:
    """Walks to many mailboxes, and to each directory once.

    dot_lock          a lock file is made beside an mbox file
    strict_ownership  as strict_mailbox_ownership
    """

    def __init__(self, *, dot_lock: bool, strict_ownership: bool) -> None:
        self._dot_lock = dot_lock
        self._strict_ownership = strict_ownership
        self._places: dict[tuple[Owner, bytes, bool], Obstacle | None] = {}

    def walk(self, mailbox: Mailbox) -> Walked:
        """Walk to one mailbox.

        Raises: PermissionError.
        """
        return self.walk_all(mailbox.owner, [mailbox.path])[0]

    def walk_all(self, owner: Owner, paths: Sequence[bytes]) -> list[Walked]:
        """Walk to the mailboxes of one owner, with one change of identity.

        Raises: PermissionError.
        """
        with acting_as(owner):
            return [self._walk_if_possible(owner, path) for path in paths]

    def reach(self, owner: Owner, path: bytes) -> Obstacle | None:
        """What keeps the owner from going through a directory; None if it is missing.

        Raises: PermissionError.
        """
        with acting_as(owner):
            if os.access(path + b"/.", os.X_OK, effective_ids=True):
                return None
            return _at(path, "search")

    def _walk_if_possible(self, owner: Owner, path: bytes) -> Walked:
        try:
            return self._walk(owner, path)
        except OSError as error:  # something changes while we look
            return Walked(Obstacle(path, "other", error.errno or 0))
        except ValueError:  # a NUL, which no name can have
            return Walked(Obstacle(path, "other", errno.EINVAL))

    def _walk(self, owner: Owner, path: bytes) -> Walked:
        path = re.sub(b"/+", b"/", path)
        if not path.endswith(b"/"):
            return self._mbox(owner, path)
        for name in (b"tmp", b"new"):
            if os.access(path + name + b"/.", _NAMES_CAN_BE_MADE, effective_ids=True):
                continue
            if _is_missing(path[:-1]):
                # Nobody had mail so far: all of it can be made, or nothing.
                above = self._place(owner, _parent(path), may_be_made=True)
                return Walked(_with_missing(above, path[:-1]))
            obstacle = _at(path + name)
            if obstacle is None:
                # It is not there: what is above it has to let him make it.
                above = self._place(owner, path, may_be_made=True)
                obstacle = _with_missing(above, path + name)
            if obstacle is not None:
                return Walked(obstacle)
        return Walked(None)

    def _mbox(self, owner: Owner, path: bytes) -> Walked:
        directory = _parent(path)
        try:
            status = os.stat(path)
        except FileNotFoundError:
            if os.path.islink(path):
                return Walked(blocked(path, errno.ENOENT))
            return Walked(self._place(owner, directory, may_be_made=False))
        except OSError as error:
            return Walked(blocked(path, error.errno or 0))
        is_regular = stat.S_ISREG(status.st_mode)
        size_bytes = status.st_size if is_regular else -1
        if self._dot_lock and is_regular:
            obstacle = self._place(owner, directory, may_be_made=False)
            if obstacle is not None:
                return Walked(obstacle, size_bytes)
        return Walked(self._file(owner, path, status), size_bytes)

    def _file(
        self, owner: Owner, path: bytes, status: os.stat_result
    ) -> Obstacle | None:
        """What is wrong with a file that is there."""
        if stat.S_ISDIR(status.st_mode):
            return Obstacle(path, "kind", errno.EISDIR, status)
        if not os.access(path, os.W_OK, effective_ids=True):
            return Obstacle(path, "write", _why_not_written(path), status)
        if status.st_nlink != 1:
            return Obstacle(path, "links", errno.EPERM, status)
        named = os.lstat(path)
        if stat.S_ISLNK(named.st_mode) and not (
            named.st_uid == 0 and _only_root_writes(_parent(path))
        ):
            return Obstacle(path, "symlink", errno.EPERM, named)
        if not stat.S_ISREG(status.st_mode):
            return Obstacle(path, "kind", 0, status)
        if self._strict_ownership and status.st_uid != owner.uid:
            return Obstacle(path, "owner", 0, status)
        return None

    def _place(
        self, owner: Owner, path: bytes, *, may_be_made: bool
    ) -> Obstacle | None:
        """What keeps the owner from making names in a directory, or from making it."""
        path = path.rstrip(b"/") or b"/"
        key = (owner, path, may_be_made)
        if key not in self._places:
            if len(self._places) >= _MOST_REMEMBERED:
                self._places.clear()
            self._places[key] = self._look(owner, path, may_be_made=may_be_made)
        return self._places[key]

    def _look(self, owner: Owner, path: bytes, *, may_be_made: bool) -> Obstacle | None:
        if os.access(path + b"/.", _NAMES_CAN_BE_MADE, effective_ids=True):
            return None
        obstacle = _at(path)
        if obstacle is not None:
            return obstacle
        if not may_be_made:
            return _first_missing(path)
        above = self._place(owner, _parent(path), may_be_made=True)
        return _with_missing(above, path)


def owner_and_mode(status: os.stat_result) -> str:
    """As in "owner root:root, mode 0755"; numbers where there is no such account."""
    try:
        user = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        user = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return f"owner {user}:{group}, mode {stat.S_IMODE(status.st_mode):04o}"


def _at(path: bytes, trouble: Trouble = "write") -> Obstacle | None:
    """What is wrong with a directory in which the owner cannot do what he has to.

    None when nothing is there. Called as the owner.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return blocked(path, errno.ENOENT) if os.path.islink(path) else None
    except OSError as error:
        return blocked(path, error.errno or 0)
    if not stat.S_ISDIR(status.st_mode):
        return Obstacle(path, "kind", errno.ENOTDIR, status)
    return Obstacle(path, trouble, _why_not_written(path), status)


def _why_not_written(path: bytes) -> int:
    """The errno for what the owner may not write to; access(2) only says no."""
    is_read_only = os.statvfs(path).f_flag & os.ST_RDONLY
    return errno.EROFS if is_read_only else errno.EACCES


def blocked(path: bytes, number: int, links: int = 0) -> Obstacle:
    """The first place that lets nobody through who is on the way to path."""
    at = b"/"
    for name in path.split(b"/"):
        if not name:
            continue
        below = os.path.join(at, name)
        try:
            status = os.lstat(below)
        except OSError as error:
            return _refused(at, below, error.errno or number)
        if stat.S_ISLNK(status.st_mode):
            try:
                os.stat(below)
            except OSError as error:
                return _behind_link(at, below, error, links)
        at = below
    return Obstacle(path, "other", number)


def _refused(at: bytes, below: bytes, number: int) -> Obstacle:
    """The directory `at` did not show what is below it."""
    if number == errno.ENOENT:
        return Obstacle(below, "missing", number)
    try:
        status = os.stat(at)
    except OSError:
        return Obstacle(at, "other", number)
    if number == errno.EACCES:
        return Obstacle(at, "search", number, status)
    if number == errno.ENOTDIR:
        return Obstacle(at, "kind", number, status)
    return Obstacle(below, "other", number)


def _behind_link(at: bytes, link: bytes, error: OSError, links: int) -> Obstacle:
    if error.errno == errno.ELOOP or links >= _MOST_LINKS:
        return Obstacle(link, "loop", errno.ELOOP)
    target = os.path.join(at, os.readlink(link))
    found = blocked(target, error.errno or 0, links + 1)
    if found.trouble == "missing":
        return Obstacle(link, "dangling", errno.ENOENT)
    return replace(found, link=link)


def _first_missing(path: bytes) -> Obstacle:
    """The topmost directory that is not there."""
    while (above := _parent(path)) != path and not os.path.lexists(above):
        path = above
    return Obstacle(path, "missing", errno.ENOENT)


def _with_missing(above: Obstacle | None, path: bytes) -> Obstacle | None:
    if above is None or above.trouble != "write" or above.missing:
        return above
    return replace(above, missing=path)


def _is_missing(path: bytes) -> bool:
    """Whether nothing is there, as far as the owner can see."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def _parent(path: bytes) -> bytes:
    return path.rstrip(b"/").rpartition(b"/")[0] or b"/"


def _only_root_writes(directory: bytes) -> bool:
    status = os.stat(directory)
    return status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
