"""What every worker is doing, for the watchdog process and the exporter to see.

It is memory that the watchdog process shares with its workers. Each worker has a slot
with numbers that only this worker writes, except for one that tells it to accept no
more clients. Writing takes no system call. What a worker wrote before it was killed is
still there, and is added to the numbers of all workers before it, so that nothing that
was counted is lost.

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
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from postvirt.server.metrics.counts import SIZE, Counts

# More workers than this, including those that serve their last clients, do not show up.
_SLOTS = 512

# fcntl(2): no more writable mappings from now on. Python names it from 3.13 on.
_SEAL_FUTURE_WRITE = 0x10

# How often the exporter reads again while numbers are being moved, which takes the
# watchdog process some microseconds.
_MOST_LOOKS = 1000


class Reason(StrEnum):
    """Why a worker was replaced."""

    MAX_USE = "max_use"
    CHANGED_TABLE = "changed_table"
    RELOAD = "reload"
    DIED = "died"
    KILLED = "killed"
    DAEMON_TIMEOUT = "daemon_timeout"


class _Head(IntEnum):
    """The numbers in front; one for each reason follows them.

    CHANGES     odd while numbers are being moved
    SLOTS       how many slots have ever been used
    """

    CHANGES = 0
    SLOTS = 1


class _Field(IntEnum):
    """The numbers of a slot; times are milliseconds of time.monotonic(), 0 is never."""

    ACCEPTS = 0
    SERVED = 1
    IN_FLIGHT = 2
    LAST_ACCEPT = 3
    MUST_LEAVE = 4
    IS_TAKEN = 5


_REASONS = list(Reason)
_NUMBER_BYTES = 8
_HEAD_NUMBERS = len(_Head) + len(_REASONS)
_SLOT_NUMBERS = len(_Field) + SIZE
_NOTHING = memoryview(bytes(_SLOT_NUMBERS * _NUMBER_BYTES)).cast("q")


class Slot:
    """A worker's own numbers; each is written in one piece."""

    __slots__ = ("_numbers", "is_shared")

    def __init__(self, numbers: memoryview | None = None) -> None:
        """A slot of the scoreboard, or, without numbers, one that no process reads."""
        self.is_shared = numbers is not None
        if numbers is None:
            numbers = memoryview(bytearray(_SLOT_NUMBERS * _NUMBER_BYTES)).cast("q")
        self._numbers = numbers

    @property
    def accepts(self) -> bool:
        """Whether the worker accepts clients now."""
        return bool(self._numbers[_Field.ACCEPTS])

    @accepts.setter
    def accepts(self, accepts: bool) -> None:
        self._numbers[_Field.ACCEPTS] = accepts

    def begin(self) -> None:
        """A client was accepted."""
        self._numbers[_Field.LAST_ACCEPT] = int(time.monotonic() * 1000)
        self._numbers[_Field.IN_FLIGHT] += 1

    def end(self) -> None:
        """A client was served."""
        self._numbers[_Field.IN_FLIGHT] -= 1
        self._numbers[_Field.SERVED] += 1

    def dismiss(self) -> None:
        """Tell the worker to accept no more clients from this moment on."""
        self._numbers[_Field.MUST_LEAVE] = True

    @property
    def is_dismissed(self) -> bool:
        """Whether the worker was told so."""
        return bool(self._numbers[_Field.MUST_LEAVE])

    @property
    def counts(self) -> Counts:
        """The part in which the worker counts its deliveries."""
        return Counts(self._numbers[len(_Field) :])

    def read(self) -> Activity:
        """The numbers as they are now."""
        numbers = self._numbers
        return Activity(
            self.accepts,
            numbers[_Field.SERVED],
            numbers[_Field.IN_FLIGHT],
            numbers[_Field.LAST_ACCEPT] / 1000,
        )

    def take(self) -> None:
        """Mark it as a worker's."""
        self._numbers[_Field.IS_TAKEN] = True

    def clear(self) -> None:
        """Make it ready for another worker."""
        self._numbers[:] = _NOTHING

    def add(self, other: Slot) -> None:
        """Add what a worker that has ended served and counted."""
        self._numbers[_Field.SERVED] += other._numbers[_Field.SERVED]
        for place in range(len(_Field), _SLOT_NUMBERS):
            number = other._numbers[place]
            if number:
                self._numbers[place] += number


@dataclass(frozen=True, slots=True)
class Activity:
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

    fd    the memory, for another program (Spectator)
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
        self._gone, *self._slots = [
            Slot(numbers[begin : begin + _SLOT_NUMBERS])
            for begin in range(_HEAD_NUMBERS, len(numbers), _SLOT_NUMBERS)
        ]
        self._free = self._slots[::-1]

    @property
    def served_by_the_gone(self) -> int:
        """How many clients were served by workers that have ended."""
        return self._gone.read().served

    def take(self) -> Slot:
        """An empty slot for a worker."""
        if not self._free:
            return Slot()
        slot = self._free.pop()
        # They are taken in their order, and the one that came back last is taken first.
        self._head[_Head.SLOTS] = max(self._head[_Head.SLOTS], _SLOTS - len(self._free))
        slot.take()
        return slot

    def give_back(self, slot: Slot) -> None:
        """The worker has ended; what it has counted stays."""
        self._head[_Head.CHANGES] += 1
        self._gone.add(slot)
        slot.clear()
        self._head[_Head.CHANGES] += 1
        if slot.is_shared:
            self._free.append(slot)

    def count_end(self, reason: Reason) -> None:
        """Count a worker that was replaced."""
        self._head[len(_Head) + _REASONS.index(reason)] += 1


@dataclass(frozen=True, slots=True)
class Totals:
    """What the scoreboard says about all workers together.

    workers     how many there are; `accepting` of them accept clients
    ends        how many were replaced, by reason
    counts      what all have counted, including those that have ended
    """

    workers: int
    accepting: int
    in_flight: int
    served: int
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
        slots = [
            numbers[begin : begin + _SLOT_NUMBERS]
            for begin in range(_HEAD_NUMBERS, len(numbers), _SLOT_NUMBERS)
        ]
        taken = [slot for slot in slots if slot[_Field.IS_TAKEN]]
        counts = [sum(column) for column in zip(*slots, strict=True)]
        return Totals(
            workers=len(taken),
            accepting=sum(slot[_Field.ACCEPTS] for slot in taken),
            in_flight=counts[_Field.IN_FLIGHT],
            served=counts[_Field.SERVED],
            ends=dict(zip(_REASONS, head[len(_Head) :], strict=True)),
            counts=Counts(counts[len(_Field) :]),
        )

    def _copy(self) -> Sequence[int]:
        """The numbers of one moment, of the slots that have ever been used."""
        with memoryview(self._memory).cast("q") as numbers:
            for _ in range(_MOST_LOOKS):
                before = numbers[_Head.CHANGES]
                used = 1 + numbers[_Head.SLOTS]
                copy = numbers[: _HEAD_NUMBERS + used * _SLOT_NUMBERS].tolist()
                if before % 2 == 0 and before == numbers[_Head.CHANGES]:
                    break
                time.sleep(0)  # let the watchdog process go on
        return copy
