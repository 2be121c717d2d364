"""What every worker is doing, for the watchdog process and the exporter to see.

It is memory that the watchdog process shares with its workers. Each worker has a slot
with numbers that only this worker writes, except for those with which the watchdog
process tells it something. Writing takes no system call. What a worker wrote before it
was killed is still there, and is added to the numbers of all workers before it, so that
nothing that was counted is lost.

The exporter is another program, which reads the memory through a descriptor. While the
watchdog process moves numbers from one place to another, a number in front says so.

Raises: nothing.
Security: the memory cannot be written through the descriptor, from Linux 5.1 on.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from array import array
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from postvirt.server.metrics.counts import SIZE, Counts

# More workers than this, including those that serve their last clients, do not show up.
_SLOTS = 512

# fcntl(2): no more writable mappings from now on. Python names it from 3.13 on.
_SEAL_FUTURE_WRITE: Final = 0x10

# How often the exporter reads again while numbers are being moved, which takes the
# watchdog process some microseconds.
_MOST_LOOKS = 200
_QUICK_LOOKS: Final = 10


class Reason(StrEnum):
    """Why a worker was replaced."""

    MAX_USE = "max_use"
    CHANGED_TABLE = "changed_table"
    RELOAD = "reload"
    DIED = "died"
    KILLED = "killed"
    DAEMON_TIMEOUT = "daemon_timeout"
    HUNG = "hung"


# The numbers in front; one for each reason follows them. Members of enumerations would
# take three times as long, and each is memory that a new worker has to copy.
_CHANGES: Final = 0  # odd while numbers are being moved
_SLOTS_USED: Final = 1  # how many have ever been
_HEAD_SIZE: Final = 2

# The numbers of a slot; times are milliseconds of time.monotonic(), 0 is never. The
# watchdog process writes MUST_LEAVE, IS_TAKEN, IS_WATCHED and IS_HUNG. INSIDE_SINCE,
# INSIDE_UID, COMMITS and PATH_BYTES say in which mailbox the worker is.
_ACCEPTS: Final = 0
_SERVED: Final = 1
_IN_FLIGHT: Final = 2
_LAST_ACCEPT: Final = 3
_MUST_LEAVE: Final = 4
_IS_TAKEN: Final = 5
_IS_WATCHED: Final = 6
_BEATS: Final = 7
_INSIDE_SINCE: Final = 8
_INSIDE_UID: Final = 9
_COMMITS: Final = 10
_PATH_BYTES: Final = 11
_IS_HUNG: Final = 12
_BUSY: Final = 13  # microseconds
_SLOT_SIZE: Final = 14

# Milliseconds that no clock reaches, and that a float still has exactly.
_NEVER: Final = 1 << 53

_REASONS: Final = list(Reason)
_NUMBER_BYTES: Final = 8
_LIMIT: Final = 1 << 63
_HEAD_NUMBERS: Final = _HEAD_SIZE + len(_REASONS)
_COUNTED_NUMBERS: Final = _SLOT_SIZE + SIZE
# The path of the mailbox follows the counts; the rest of a longer one is left out.
MOST_PATH_BYTES: Final = 1024
_SLOT_NUMBERS: Final = _COUNTED_NUMBERS + MOST_PATH_BYTES // _NUMBER_BYTES
_NOTHING: Final = memoryview(bytes(_SLOT_NUMBERS * _NUMBER_BYTES)).cast("q")


class Inside(NamedTuple):
    """In which mailbox a worker is, as which user, since when (a time.monotonic()).

    commits    it commits what was written there
    """

    path: bytes
    uid: int
    since: float
    commits: bool


def _inside(numbers: Sequence[int] | memoryview, path: bytes) -> Inside | None:
    """What the numbers of a slot say, and the bytes of its path."""
    since = numbers[_INSIDE_SINCE]
    if not 0 < since < _NEVER:
        return None
    uid, commits = numbers[_INSIDE_UID], bool(numbers[_COMMITS])
    return Inside(path[: max(0, numbers[_PATH_BYTES])], uid, since / 1000, commits)


def _hung(numbers: Sequence[int]) -> Inside | None:
    """The mailbox in which the worker hangs whose slot has these numbers."""
    if not numbers[_IS_HUNG]:
        return None
    return _inside(numbers, array("q", numbers[_COUNTED_NUMBERS:]).tobytes())


class Slot:
    """A worker's own numbers; each is written in one piece."""

    __slots__ = ("_entered", "_numbers", "_path", "is_shared")

    def __init__(self, numbers: memoryview | None = None) -> None:
        """A slot of the scoreboard, or, without numbers, one that no process reads."""
        self.is_shared = numbers is not None
        if numbers is None:
            numbers = memoryview(bytearray(_SLOT_NUMBERS * _NUMBER_BYTES)).cast("q")
        self._numbers = numbers
        self._path = numbers[_COUNTED_NUMBERS:].cast("B")
        self._entered = b""  # what was written there

    @property
    def accepts(self) -> bool:
        """Whether the worker accepts clients now."""
        return bool(self._numbers[_ACCEPTS])

    @accepts.setter
    def accepts(self, accepts: bool) -> None:
        self._numbers[_ACCEPTS] = accepts

    def begin(self) -> None:
        """A client was accepted."""
        self._numbers[_LAST_ACCEPT] = int(time.monotonic() * 1000)
        self._numbers[_IN_FLIGHT] += 1

    def end(self) -> None:
        """A client was served."""
        self._numbers[_IN_FLIGHT] -= 1
        self._numbers[_SERVED] += 1

    @property
    def in_flight(self) -> int:
        """How many clients the worker serves now."""
        return self._numbers[_IN_FLIGHT]

    def dismiss(self) -> None:
        """Tell the worker to accept no more clients from this moment on."""
        self._numbers[_MUST_LEAVE] = True

    @property
    def is_dismissed(self) -> bool:
        """Whether the worker was told so."""
        return bool(self._numbers[_MUST_LEAVE])

    def beat(self) -> None:
        """A sign of life: the worker makes progress."""
        self._numbers[_BEATS] += 1

    @property
    def beats(self) -> int:
        """How many signs of life there have been."""
        return self._numbers[_BEATS]

    def work(self, seconds: float) -> None:
        """For so long, the worker did not wait for anybody to send something."""
        self._numbers[_BUSY] += int(seconds * 1e6)

    @property
    def busy_seconds(self) -> float:
        """For how long it has not."""
        return self._numbers[_BUSY] / 1e6

    def enter(self, path: bytes, uid: int, *, commits: bool = False) -> None:
        """The worker is going to work in this mailbox, as this user.

        commits    it is going to commit what was written there
        """
        numbers = self._numbers
        if path is not self._entered:  # one delivery enters several times
            self._entered = path
            size = len(path)
            if size > MOST_PATH_BYTES:
                path, size = path[:MOST_PATH_BYTES], MOST_PATH_BYTES
            self._path[:size] = path
            numbers[_PATH_BYTES] = size
        numbers[_INSIDE_UID] = uid
        numbers[_COMMITS] = commits
        numbers[_INSIDE_SINCE] = int(time.monotonic() * 1000)

    def leave(self) -> None:
        """It has come out of the mailbox again."""
        self._numbers[_INSIDE_SINCE] = 0

    def inside(self) -> Inside | None:
        """In which mailbox the worker is."""
        return _inside(self._numbers, bytes(self._path))

    @property
    def is_watched(self) -> bool:
        """Whether the watchdog process looks for signs of life now and then."""
        return bool(self._numbers[_IS_WATCHED])

    @is_watched.setter
    def is_watched(self, is_watched: bool) -> None:
        self._numbers[_IS_WATCHED] = is_watched

    @property
    def is_hung(self) -> bool:
        """Whether the watchdog process misses the signs of life."""
        return bool(self._numbers[_IS_HUNG])

    @is_hung.setter
    def is_hung(self, is_hung: bool) -> None:
        self._numbers[_IS_HUNG] = is_hung

    @property
    def counts(self) -> Counts:
        """The part in which the worker counts its deliveries."""
        return Counts(self._numbers[_SLOT_SIZE:_COUNTED_NUMBERS])

    def read(self) -> Activity:
        """The numbers as they are now."""
        numbers = self._numbers
        return Activity(
            self.accepts,
            numbers[_SERVED],
            numbers[_IN_FLIGHT],
            numbers[_LAST_ACCEPT] / 1000,
        )

    def take(self) -> None:
        """Mark it as a worker's."""
        self._numbers[_IS_TAKEN] = True

    def clear(self) -> None:
        """Make it ready for another worker."""
        self._numbers[:] = _NOTHING
        self._entered = b""

    def add(self, other: Slot) -> None:
        """Add what a worker that has ended served and counted."""
        for place in (_SERVED, _BUSY, *range(_SLOT_SIZE, _COUNTED_NUMBERS)):
            if number := other._numbers[place]:
                _add(self._numbers, place, number)


class Activity(NamedTuple):
    """What a slot says.

    accepts       whether the worker accepts clients
    served        how many clients it has served
    in_flight     how many it serves now
    last_accept   when the last one came, a time.monotonic(); 0 is never
    """

    accepts: bool
    served: int
    in_flight: int
    last_accept: float


class Scoreboard:
    """The shared memory; a fork does not copy it.

    fd      the memory, for another program (Spectator)
    gone    what workers that have ended did
    """

    def __init__(self) -> None:
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        self.fd = os.memfd_create("postvirt-scoreboard", flags)
        size = (_HEAD_NUMBERS + (1 + _SLOTS) * _SLOT_NUMBERS) * _NUMBER_BYTES
        os.ftruncate(self.fd, size)
        numbers = memoryview(mmap.mmap(self.fd, size)).cast("q")
        try:
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEAL_FUTURE_WRITE)
        except OSError:
            pass  # an older kernel: programs that get the descriptor must be trusted
        self._head = numbers[:_HEAD_NUMBERS]
        self.gone, *self._slots = [
            Slot(numbers[begin : begin + _SLOT_NUMBERS])
            for begin in range(_HEAD_NUMBERS, len(numbers), _SLOT_NUMBERS)
        ]
        self._free = self._slots[::-1]

    def take(self) -> Slot:
        """An empty slot for a worker."""
        if not self._free:
            return Slot()
        slot = self._free.pop()
        # They are taken in their order, and the one that came back last is taken first.
        self._head[_SLOTS_USED] = max(self._head[_SLOTS_USED], _SLOTS - len(self._free))
        slot.take()
        return slot

    def give_back(self, slot: Slot) -> None:
        """The worker has ended; what it has counted stays."""
        _add(self._head, _CHANGES, 1)
        self.gone.add(slot)
        slot.clear()
        _add(self._head, _CHANGES, 1)
        if slot.is_shared:
            self._free.append(slot)

    def count_end(self, reason: Reason) -> None:
        """Count a worker that was replaced."""
        _add(self._head, _HEAD_SIZE + _REASONS.index(reason), 1)


def _add(numbers: memoryview, place: int, more: int) -> None:
    """Add in 64 bits: a worker may have written any number."""
    total = numbers[place] + more
    numbers[place] = (total + _LIMIT) % (2 * _LIMIT) - _LIMIT


class Totals(NamedTuple):
    """What the scoreboard says about all workers together.

    workers     how many there are; `accepting` of them accept clients
    hung        the mailboxes that hang
    ends        how many were replaced, by reason
    counts      what all have counted, including those that have ended
    """

    workers: int
    accepting: int
    hung: Sequence[Inside]
    in_flight: int
    served: int
    busy_seconds: float
    ends: dict[Reason, int]
    counts: Counts


class Spectator:
    """The scoreboard as another program sees it, through a descriptor."""

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, 0, prot=mmap.PROT_READ)

    def look(self) -> Totals:
        """What all workers have done."""
        numbers = self._copy()
        head = numbers[:_HEAD_NUMBERS]
        whole = [
            numbers[begin : begin + _SLOT_NUMBERS]
            for begin in range(_HEAD_NUMBERS, len(numbers), _SLOT_NUMBERS)
        ]
        slots = [numbers[:_COUNTED_NUMBERS] for numbers in whole]
        taken = [slot for slot in slots if slot[_IS_TAKEN]]
        counts = [sum(column) for column in zip(*slots, strict=True)]
        return Totals(
            workers=len(taken),
            accepting=sum(slot[_ACCEPTS] for slot in taken),
            hung=[inside for one in whole if (inside := _hung(one)) is not None],
            in_flight=counts[_IN_FLIGHT],
            served=counts[_SERVED],
            busy_seconds=counts[_BUSY] / 1e6,
            ends=dict(zip(_REASONS, head[_HEAD_SIZE:], strict=True)),
            counts=Counts(counts[_SLOT_SIZE:]),
        )

    def _copy(self) -> Sequence[int]:
        """The numbers of one moment, of the slots that have ever been used."""
        with memoryview(self._memory).cast("q") as numbers:
            for look in range(_MOST_LOOKS):
                before = numbers[_CHANGES]
                used = 1 + min(max(0, numbers[_SLOTS_USED]), _SLOTS)
                copy = numbers[: _HEAD_NUMBERS + used * _SLOT_NUMBERS].tolist()
                if before % 2 == 0 and before == numbers[_CHANGES]:
                    break
                # The watchdog process may wait for a processor in the midst of it.
                time.sleep(0 if look < _QUICK_LOOKS else 0.001)
        return copy
