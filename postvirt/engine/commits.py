"""Commit descriptors together, in the background or at once.

A commit may never end: the kernel waits for a lock that the owner of the mailbox holds,
or for a disk or file server that does not answer. Nothing can be done about it, but it
is that owner's only. One in the background is reported as failed after
COMMIT_HUNG_SECONDS, and until it does end, nothing else of this owner is committed. One
at once is noted like a system call in the mailbox (system.whereabouts).

Raises: nothing; errors are passed on.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping

from postvirt.model.mailbox import Mailbox
from postvirt.system import durability, whereabouts
from postvirt.system.async_commit import AsyncCommits
from postvirt.system.whereabouts import COMMIT_HUNG_SECONDS

# The error of each descriptor.
Errors = dict[int, OSError | None]

# For each descriptor, whose mailbox it belongs to.
Descriptors = Mapping[int, Mailbox | None]


class _Group:
    """Commits that were begun together, and what to do when all are done."""

    __slots__ = ("began", "errors", "finish", "left")

    def __init__(self, finish: Callable[[Errors], None]) -> None:
        self.left = 0
        self.began = time.monotonic()
        self.errors: Errors = {}
        self.finish = finish


class Commits:
    """Commits of one process."""

    def __init__(self) -> None:
        self._background = AsyncCommits()
        self._under_way: dict[int, tuple[_Group, int, Mailbox | None]] = {}
        self._overdue: dict[int, Mailbox | None] = {}
        self._last_name = 0

    def fileno(self) -> int:
        """Readable when a commit in the background has ended; -1: there are none."""
        return self._background.fileno()

    @property
    def are_under_way(self) -> bool:
        """Whether there are commits in the background that have not ended in time."""
        return bool(self._under_way)

    def hang(self, mailbox: Mailbox | None) -> bool:
        """Whether one of this owner's does not end."""
        return mailbox is not None and any(
            one is not None and one.owner.uid == mailbox.owner.uid
            for one in self._overdue.values()
        )

    def commit(
        self,
        descriptors: Descriptors,
        finish: Callable[[Errors], None],
        *,
        in_background: bool,
    ) -> None:
        """Commit all of them, in their order; `finish` is told how that went."""
        group = _Group(finish)
        for fd, mailbox in descriptors.items():
            self._last_name += 1
            if in_background and self._background.submit(fd, self._last_name):
                group.left += 1
                self._under_way[self._last_name] = group, fd, mailbox
            else:
                group.errors[fd] = _at_once(durability.commit, fd, mailbox)
        if not group.left:
            finish(group.errors)

    def finish_done(self) -> None:
        """Pass on the results of commits in the background that have ended."""
        for name, number in self._background.done():
            if self._overdue.pop(name, self) is self:
                self._end(name, durability.error_of(number))

    def end_overdue(self) -> None:
        """Report as failed those that do not end."""
        latest = time.monotonic() - COMMIT_HUNG_SECONDS
        for name, (group, _, mailbox) in list(self._under_way.items()):
            if group.began > latest:
                break  # they are in their order
            self._overdue[name] = mailbox
            self._end(name, OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))

    def _end(self, name: int, error: OSError | None) -> None:
        group, fd, _ = self._under_way.pop(name)
        group.errors[fd] = error or durability.shutdown_of(fd)
        group.left -= 1
        if not group.left:
            group.finish(group.errors)


def commit_file_system(fd: int, mailbox: Mailbox | None) -> OSError | None:
    """Commit all of the file system that a file is on, at once."""
    return _at_once(durability.commit_file_system, fd, mailbox)


def _at_once(
    commit: Callable[[int], OSError | None], fd: int, mailbox: Mailbox | None
) -> OSError | None:
    if mailbox is None:
        return commit(fd)
    whereabouts.notes.enter(mailbox.path, mailbox.owner.uid, commits=True)
    error = commit(fd)
    whereabouts.notes.leave()
    return error
