"""The place on the way to a path that stops a user, and words for it.

Nothing is decided here: the kernel, or a delivery's own rules, have refused a path, and
this finds the place that is to blame. Called as the user who was refused.

Raises: nothing.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from typing import Literal, NamedTuple

from postvirt.model.text import text
from postvirt.system.log import errno_text
from postvirt.system.path_control import Link

# search     a directory that the owner may not search
# write      a directory or an mbox file that the owner may not write to
# missing    nothing is there, and a delivery does not create it
# dangling   a symbolic link that leads nowhere
# loop       symbolic links that lead to each other
# kind       a file instead of a directory, a directory instead of a file, or a device
# links      an mbox file with several names
# symlink    an mbox file that is a symbolic link which is not root's
# owner      an mbox file that another user owns
# mount      a new/ on another mount than the tmp/ beside it
# default    a directory whose default access control list takes away from owners what
#            they create in it
# other      the kernel reports something else
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
    "mount",
    "default",
    "other",
]

_WORDS: dict[Trouble, str] = {
    "write": "is on a file system that is mounted read-only",
    "missing": "does not exist",
    "dangling": "is a symbolic link that leads nowhere",
    "loop": "is a symbolic link that leads back to itself",
    "kind": "is not a regular file",
    "links": "is a file with several names (hard links)",
    "symlink": "is a symbolic link that someone other than root could have made",
    "owner": "does not belong to the owner that the tables give",
    "mount": "is on another mount than tmp/, so that no file can move there",
    "default": "has a default access control list against its own owners",
}

# The number of symbolic links that the kernel follows in one path.
_MOST_LINKS = 40


class Obstacle(NamedTuple):
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
            case "kind" if is_directory:
                return "is a directory, but the table names a file"
            case "kind" if self.number == errno.ENOTDIR:
                return "is not a directory"
            case "other":
                return f"cannot be used: {errno_text(OSError(self.number, ''))}"
        return _WORDS[self.trouble]


def describe_link(link: Link) -> str:
    """Whose link it is, and where it leads."""
    leads = f"leads to {text(link.target)}"
    return f"{text(link.path)} is a symbolic link of {_user(link.uid)}'s that {leads}"


def owner_and_mode(status: os.stat_result) -> str:
    """As in "owner root:root, mode 0755"; numbers where there is no such account."""
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    user = _user(status.st_uid, "")
    return f"owner {user}:{group}, mode {stat.S_IMODE(status.st_mode):04o}"


def _user(uid: int, what: str = "uid ") -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"{what}{uid}"


def in_directory(path: bytes, number: int, trouble: Trouble = "write") -> Obstacle:
    """What is wrong with a directory whose use was refused with this errno."""
    try:
        status = os.stat(path)
    except OSError as error:
        return blocked(path, error.errno or number)
    if not stat.S_ISDIR(status.st_mode):
        return Obstacle(path, "kind", errno.ENOTDIR, status)
    return Obstacle(path, trouble, number, status)


def in_file(path: bytes, number: int) -> Obstacle:
    """What is wrong with an mbox file that a delivery refused; 0 is no errno."""
    try:
        status = os.stat(path)
        named = os.lstat(path)
    except OSError as error:
        return blocked(path, error.errno or number)
    if stat.S_ISDIR(status.st_mode):
        return Obstacle(path, "kind", errno.EISDIR, status)
    if number in (errno.EACCES, errno.EROFS):
        return Obstacle(path, "write", number, status)
    if number == errno.EPERM and status.st_nlink != 1:
        return Obstacle(path, "links", number, status)
    if number == errno.EPERM and stat.S_ISLNK(named.st_mode):
        return Obstacle(path, "symlink", number, named)
    if not stat.S_ISREG(status.st_mode):
        return Obstacle(path, "kind", number, status)
    return Obstacle(path, "other" if number else "owner", number, status)


def blocked(path: bytes, number: int, links: int = 0) -> Obstacle:
    """The first place on the way to a path that the kernel did not let us pass."""
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
    return found._replace(link=link)
