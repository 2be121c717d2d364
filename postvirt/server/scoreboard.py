"""What every worker is doing, for the watchdog process to see.

It is memory that the watchdog process shares with its workers: one slot for each, with
numbers that only this worker writes, but for one by which it is told to accept nobody
any more. Writing takes no system call, and what a worker wrote before it was killed is
still there.

Raises: nothing.
"""

from __future__ import annotations

import mmap
import time
from dataclasses import dataclass
from enum import IntEnum

# More workers than this, those included that serve their last clients, do not show up.
_SLOTS = 512


class _Field(IntEnum):
    """The numbers of a slot; times are milliseconds of time.monotonic(), 0 is never."""

    ACCEPTS = 0
    SERVED = 1
    IN_FLIGHT = 2
    LAST_ACCEPT = 3
    MUST_LEAVE = 4


_NUMBER_BYTES = 8
_SLOT_NUMBERS = len(_Field)


class Slot:
    """A worker's own numbers; each is written in one piece."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: memoryview | None = None) -> None:
        """A slot of the scoreboard, or without one a slot that nobody looks at."""
        if numbers is None:
            numbers = memoryview(bytearray(_SLOT_NUMBERS * _NUMBER_BYTES)).cast("q")
        self._numbers = numbers

    def listen(self, accepts: bool) -> None:
        """Whether the worker accepts clients now."""
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
        """Tell the worker to accept nobody from this moment on."""
        self._numbers[_Field.MUST_LEAVE] = True

    @property
    def is_dismissed(self) -> bool:
        """Whether the worker was told so."""
        return bool(self._numbers[_Field.MUST_LEAVE])

    def read(self) -> Activity:
        """The numbers as they are now."""
        accepts, served, in_flight, last_accept, _ = self._numbers
        return Activity(bool(accepts), served, in_flight, last_accept / 1000)

    def clear(self) -> None:
        """Make it ready for another worker."""
        for field in _Field:
            self._numbers[field] = 0


@dataclass(frozen=True, slots=True)
class Activity:
    """What a slot says.

    accepts       whether the worker accepts clients
    served        how many clients it has served
    in_flight     how many it serves now
    last_accept   when one came last, as time.monotonic() tells it; 0 is never
    """

    accepts: bool
    served: int
    in_flight: int
    last_accept: float


class Scoreboard:
    """The shared memory; a fork does not copy it."""

    def __init__(self) -> None:
        size = _SLOTS * _SLOT_NUMBERS * _NUMBER_BYTES
        numbers = memoryview(mmap.mmap(-1, size)).cast("q")
        self._free = [
            Slot(numbers[begin : begin + _SLOT_NUMBERS])
            for begin in range(0, len(numbers), _SLOT_NUMBERS)
        ]
        self._free.reverse()

    def take(self) -> Slot:
        """An empty slot for a worker."""
        return self._free.pop() if self._free else Slot()

    def give_back(self, slot: Slot) -> None:
        """The worker is gone."""
        slot.clear()
        self._free.append(slot)
