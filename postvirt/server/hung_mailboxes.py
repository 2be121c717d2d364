"""The mailboxes in which a worker hangs, for all workers to see.

The watchdog process writes them into memory that it shares with its workers. A worker
looks there before it enters a mailbox, which takes no system call; as a rule there is
nothing.

An owner may have many mailboxes, and a file server may have the mailboxes of many
owners. So that workers do not hang one after the other:

    one mailbox of an owner hangs         mail for it has to wait
    two of one owner on one file system   so does all mail for this owner there
    those of eight owners there           so does all mail for this file system
    of three, if it is a file server's    the same: that is the likely cause

A worker that looks there has come back from where it hung itself, even if the watchdog
process has not noticed: it goes on, or what it has written so far would stay in tmp/.

Raises: nothing.
"""

from __future__ import annotations

import mmap
import os
import time
from enum import IntEnum
from typing import NamedTuple

from postvirt.server.metrics.scoreboard import MOST_PATH_BYTES, Inside
from postvirt.system import mounts
from postvirt.system.file_systems import is_remote

MOST_HUNG = 50

_MOST_MAILBOXES_OF_AN_OWNER = 1
_MOST_OWNERS_OF_A_FILE_SYSTEM = 7
_MOST_OWNERS_OF_A_REMOTE_ONE = 2


class _Field(IntEnum):
    """The numbers of an entry; the path follows them.

    SINCE       when it began, in milliseconds of time.monotonic(); 0: an empty entry
    UID         the owner whose mail has to wait, or _ANYBODY
    IS_WHOLE    whether the path is the whole one, or that of a directory above it
    PID         the worker that hangs
    """

    SINCE = 0
    UID = 1
    IS_WHOLE = 2
    PID = 3
    PATH_BYTES = 4


_NUMBER_BYTES = 8
_ENTRY_NUMBERS = len(_Field) + MOST_PATH_BYTES // _NUMBER_BYTES
_ANYBODY = -1


class _Hung(NamedTuple):
    """A mailbox, and the mount point of the file system that it is on.

    inside is None for a worker that hangs elsewhere, which no mail has to wait for.
    """

    inside: Inside | None
    point: bytes = b""


class HungMailboxes:
    """All of them; a fork does not copy the memory."""

    def __init__(self) -> None:
        memory = mmap.mmap(-1, (1 + MOST_HUNG * _ENTRY_NUMBERS) * _NUMBER_BYTES)
        numbers = memoryview(memory).cast("q")
        self._head = numbers[:1]
        self._entries = [
            numbers[begin : begin + _ENTRY_NUMBERS]
            for begin in range(1, len(numbers), _ENTRY_NUMBERS)
        ]
        self._hung: dict[int, _Hung] = {}  # by the number of their entry

    def __len__(self) -> int:
        return max(0, int(self._head[0]))  # a worker may have written any number

    def add(self, inside: Inside | None, pid: int) -> int | None:
        """This worker hangs in this mailbox: the number to remove it by.

        None: there are too many.
        """
        free = set(range(MOST_HUNG)) - self._hung.keys()
        if not free:
            return None
        number = min(free)
        self._hung[number] = _Hung(inside)
        if inside is not None:
            point, most_owners = _file_system(inside.path)
            self._hung[number] = _Hung(inside, point)
            self._entries[number][_Field.PID] = pid
            self._write(self._entries[number], inside, point, most_owners)
        self._head[0] = len(self._hung)
        return number

    def remove(self, number: int) -> None:
        """Mail for this one need not wait any more."""
        del self._hung[number]
        self._entries[number][_Field.SINCE] = 0
        self._head[0] = len(self._hung)

    def seconds(self, path: bytes, uid: int) -> float | None:
        """For how long mail for this mailbox has had to wait; None: it need not."""
        if not self._head[0]:
            return None
        own = os.getpid()
        for entry in self._entries:
            since = entry[_Field.SINCE]
            if since and entry[_Field.PID] != own and _concerns(entry, path, uid):
                return time.monotonic() - since / 1000
        return None

    def _write(
        self, entry: memoryview, inside: Inside, point: bytes, most_owners: int
    ) -> None:
        path, uid, is_whole = inside.path, inside.uid, True
        here = [
            one.inside
            for one in self._hung.values()
            if one.inside is not None and one.point == point
        ]
        if len({one.uid for one in here}) > most_owners:
            path, uid, is_whole = point, _ANYBODY, False
        elif len([one for one in here if one.uid == uid]) > _MOST_MAILBOXES_OF_AN_OWNER:
            path, is_whole = point, False
        entry[_Field.UID] = uid
        entry[_Field.IS_WHOLE] = is_whole
        entry[_Field.PATH_BYTES] = len(path)
        entry[len(_Field) :].cast("B")[: len(path)] = path
        entry[_Field.SINCE] = int(inside.since * 1000)


def _concerns(entry: memoryview, path: bytes, uid: int) -> bool:
    if entry[_Field.UID] not in (uid, _ANYBODY):
        return False
    size = entry[_Field.PATH_BYTES]
    hung = bytes(entry[len(_Field) :].cast("B")[:size])
    if entry[_Field.IS_WHOLE]:
        return path[:MOST_PATH_BYTES] == hung
    return mounts.is_below(os.fsdecode(path), os.fsdecode(hung))


def _file_system(path: bytes) -> tuple[bytes, int]:
    """Where the file system of a path is mounted, without touching it.

    And the mailboxes of how many owners may hang before all of it does.
    """
    mount = mounts.covering(mounts.mounted(), os.fsdecode(path))
    if mount is None:
        return b"/", _MOST_OWNERS_OF_A_FILE_SYSTEM
    if is_remote(mount.type):
        return os.fsencode(mount.point), _MOST_OWNERS_OF_A_REMOTE_ONE
    return os.fsencode(mount.point), _MOST_OWNERS_OF_A_FILE_SYSTEM
