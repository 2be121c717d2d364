"""Who controls where a path leads.

A path is root's when nobody else can replace any name on the way: each directory is
root's, and no other user can write to it. A sticky directory such as /tmp protects the
names of root's files in it. Symbolic links of root's are followed where nobody else can
replace them. The user who runs this counts as root.

Raises: nothing for an absolute path; what cannot be examined counts as others'.
Security: examined from the top down, so that nobody but root can replace what has been
examined, as long as the path is root's. For other paths the result is a report only:
whoever follows such a path with root's rights lets its owner choose the file.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

_ROOT = 0
# The number of symbolic links that the kernel follows in one path.
_MOST_LINKS = 40


class Link(NamedTuple):
    """A symbolic link that root should not follow: who made it, and where it leads."""

    path: bytes
    uid: int
    target: bytes


class Way(NamedTuple):
    """The way to a path.

    path     the same place without root's symbolic links
    nearest  the deepest directory or file on the way that exists
    loose    the first directory in which others can replace the next name, b"" for none
    link     the first symbolic link that others control, None for none
    """

    path: bytes
    nearest: bytes
    loose: bytes = b""
    link: Link | None = None

    @property
    def is_roots(self) -> bool:
        """Whether only root decides where it leads."""
        return not self.loose and self.link is None


def way_to(path: bytes) -> Way:
    """Examine the way to a path, with the rights of the calling process."""
    at, loose = b"/", b""
    if not path.startswith(b"/"):
        path = os.path.join(os.getcwdb(), path)
    names = _reversed(path)
    links = 0
    while names:
        name = names.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            at = os.path.dirname(at)
            continue
        below = os.path.join(at, name)
        try:
            status = os.lstat(below)
        except (FileNotFoundError, NotADirectoryError):
            status = None
        except (OSError, ValueError):
            return Way(_rest(below, names), at, loose or at)
        if not loose and _can_be_replaced(at, status):
            loose = at
        if status is None:
            return Way(_rest(below, names), at, loose)
        if stat.S_ISLNK(status.st_mode):
            target = _target(below)
            links += 1
            if loose or status.st_uid not in _trusted() or links > _MOST_LINKS:
                link = Link(below, status.st_uid, target)
                return Way(_rest(below, names), at, loose, link)
            names += _reversed(target)
            at = b"/" if target.startswith(b"/") else at
            continue
        at = below
    return Way(at, at, loose)


def may_others_write(status: os.stat_result) -> bool:
    """Whether a file, or the names in a directory, can be changed by others."""
    # With an access control list, the bits of the group are what it grants at most.
    is_writable = bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    return is_writable or status.st_uid not in _trusted()


def _trusted() -> tuple[int, ...]:
    return (_ROOT, os.getuid())


def _can_be_replaced(directory: bytes, named: os.stat_result | None) -> bool:
    """Whether others can give a name in a directory to another file."""
    try:
        status = os.stat(directory)
    except OSError:
        return True
    is_kept = named is not None and named.st_uid in _trusted()
    if is_kept and status.st_mode & stat.S_ISVTX:
        return status.st_uid not in _trusted()
    return may_others_write(status)


def _target(link: bytes) -> bytes:
    try:
        return os.readlink(link)
    except OSError:
        return b""


def _reversed(path: bytes) -> list[bytes]:
    return path.split(b"/")[::-1]


def _rest(at: bytes, names: list[bytes]) -> bytes:
    """A place, and the names below it that were not examined."""
    return os.path.join(at, *[one for one in reversed(names) if one])
