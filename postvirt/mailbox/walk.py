"""Walk to a mailbox as its owner, and find the first place that stops a delivery.

Refusals come from the judges of a rehearsal: the kernel, asked as the owner, and the
rules for mbox files. This module only knows which places a delivery needs, and asks
about each of them once; `obstacle` explains a refusal. Free space and the locks of
others are not considered. Nothing is created or changed.

    maildir  tmp/ and new/ must be directories in which the owner can create names, or
             the deepest existing directory must be, so that the rest can be created
    mbox     the file must be one that a delivery accepts, writable for its owner; for a
             new file, and for a dot lock, its directory must be writable. Directories
             are not created

Parity: src/virtual/maildir.c, src/virtual/mailbox.c as `mailbox` follows them.
Raises: PermissionError from `Walker.walk` when this process cannot act as the owner.
Security: file names are in the hands of the owner. What is found may be something else
a moment later: it is a report for a person, and no delivery relies on it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Sequence
from typing import NamedTuple

from postvirt.mailbox.errno_dsn import DeliveryFailedError
from postvirt.mailbox.obstacle import Obstacle, blocked, in_directory, in_file
from postvirt.mailbox.rehearsal import check_mbox_file
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.system.dry_run import (
    can_use_new_directory,
    check_move,
    parent_of,
    refusal_of_access,
)
from postvirt.system.privileges import acting_as

# The number of directories that are remembered; a table may have a million of them.
_MOST_REMEMBERED = 50_000

_NAMES_CAN_BE_CREATED = os.W_OK | os.X_OK


class Walked(NamedTuple):
    """What was found at the end of the way.

    obstacle    None when a delivery would reach the mailbox
    size_bytes  of an mbox file that is there, otherwise -1
    """

    obstacle: Obstacle | None
    size_bytes: int = -1


class Walker:
    """Walks to many mailboxes, and to each directory once.

    dot_lock          a lock file is created beside an mbox file
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
        """What keeps the owner from searching a directory; None if it is missing.

        Raises: PermissionError.
        """
        with acting_as(owner):
            number = refusal_of_access(path + b"/.", os.X_OK)
            if not number or (number == errno.ENOENT and not os.path.islink(path)):
                return None
            return in_directory(path, number, "search")

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
            number = refusal_of_access(path + name + b"/.", _NAMES_CAN_BE_CREATED)
            if not number:
                continue
            if number == errno.ENOENT and not os.path.lexists(path[:-1]):
                # The first mail: all of the maildir can be created, or nothing.
                return Walked(self._creating(owner, path[:-1]))
            if number == errno.ENOENT and not os.path.lexists(path + name):
                obstacle = self._creating(owner, path + name)
            else:
                obstacle = in_directory(path + name, number)
            if obstacle is not None:
                return Walked(obstacle)
        try:
            check_move(path + b"tmp", path + b"new")
        except OSError as error:
            return Walked(in_directory(path + b"new", error.errno or 0, "mount"))
        return Walked(None)

    def _mbox(self, owner: Owner, path: bytes) -> Walked:
        directory = parent_of(path)
        try:
            status = os.stat(path)
        except FileNotFoundError:
            if os.path.islink(path):
                return Walked(blocked(path, errno.ENOENT))
            return Walked(self._place(owner, directory, may_be_created=False))
        except OSError as error:
            return Walked(blocked(path, error.errno or 0))
        is_regular = stat.S_ISREG(status.st_mode)
        size_bytes = status.st_size if is_regular else -1
        if self._dot_lock and is_regular:
            obstacle = self._place(owner, directory, may_be_created=False)
            if obstacle is not None:
                return Walked(obstacle, size_bytes)
        try:
            check_mbox_file(
                Mailbox(path, owner), strict_ownership=self._strict_ownership
            )
        except DeliveryFailedError as refusal:
            return Walked(in_file(path, refusal.errno), size_bytes)
        return Walked(None, size_bytes)

    def _creating(self, owner: Owner, path: bytes) -> Obstacle | None:
        """What keeps the owner from creating a directory that is missing."""
        parent = parent_of(path)
        above = self._place(owner, parent, may_be_created=True)
        if above is None and not can_use_new_directory(_nearest(parent)):
            return in_directory(_nearest(parent), errno.EACCES, "default")
        if above is None or above.trouble != "write" or above.missing:
            return above
        return above._replace(missing=path)

    def _place(
        self, owner: Owner, path: bytes, *, may_be_created: bool
    ) -> Obstacle | None:
        """What keeps the owner from creating names in a directory."""
        path = path.rstrip(b"/") or b"/"
        key = (owner, path, may_be_created)
        if key not in self._places:
            if len(self._places) >= _MOST_REMEMBERED:
                self._places.clear()
            self._places[key] = self._look(owner, path, may_be_created=may_be_created)
        return self._places[key]

    def _look(
        self, owner: Owner, path: bytes, *, may_be_created: bool
    ) -> Obstacle | None:
        number = refusal_of_access(path + b"/.", _NAMES_CAN_BE_CREATED)
        if not number:
            return None
        if number != errno.ENOENT or os.path.lexists(path):
            return in_directory(path, number)
        if may_be_created:
            return self._creating(owner, path)
        return _first_missing(path)


def _nearest(path: bytes) -> bytes:
    """A directory, or the nearest one above it that exists."""
    while not os.path.lexists(path):
        path = parent_of(path)
    return path


def _first_missing(path: bytes) -> Obstacle:
    """The topmost directory that is missing."""
    while (above := parent_of(path)) != path and not os.path.lexists(above):
        path = above
    return Obstacle(path, "missing", errno.ENOENT)
