"""What a worker counts about its deliveries, as plain numbers in a row.

A worker writes them into its slot of the scoreboard (server.metrics.scoreboard), where
the exporter reads them. This module says where each number is. Counting takes no system
call and no lock, because each number has one writer.

Times are counted in nanoseconds.

Raises: nothing.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import MutableSequence, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

# What happened to a recipient; the last two are outcomes of probes.
OUTCOMES: Final = tuple(
    "sent deferred bounced soft_bounced corrupt deliverable undeliverable".split()
)
# The format of the mailbox; none: no mailbox was found.
FORMATS: Final = ("maildir", "mbox", "none")
# What became of mail over quota, and why there was no room (model.quota.Refusal).
REFUSED: Final = ("deferred", "bounced")
REFUSALS: Final = ("message", "size", "messages")

SECOND: Final = 1_000_000_000
_MILLISECOND: Final = 1_000_000


class Stage(StrEnum):
    """A part of the time that the delivery to a recipient takes.

    QUEUE    from the active queue until this delivery agent has the request
    LOOKUP   looking the recipient up in the tables
    WRITE    writing the file, without the wait for a lock
    COMMIT   until file and name are on disk
    TOTAL    from the active queue until the outcome is reported
    """

    QUEUE = "queue"
    LOOKUP = "lookup"
    WRITE = "write"
    COMMIT = "commit"
    TOTAL = "total"


class Histogram:
    """How many values are in each range, and their sum.

    first     the index of the first number
    bounds    the largest value of each range; the last range has none
    last      the index of the sum
    """

    __slots__ = ("bounds", "first", "last")

    def __init__(self, first: int, bounds: tuple[int, ...]) -> None:
        self.first = first
        self.bounds = bounds
        self.last = first + len(bounds) + 1

    def count(
        self, numbers: MutableSequence[int] | memoryview, value: int, times: int
    ) -> None:
        """Count a value that occurred `times` times."""
        numbers[self.first + bisect_left(self.bounds, value)] += times
        numbers[self.last] += value * times

    def read(self, numbers: Sequence[int]) -> tuple[list[int], int]:
        """How many values are in each range, and the sum of all."""
        return list(numbers[self.first : self.last]), numbers[self.last]


# For what happens in a worker: from 0.1 milliseconds to a minute.
_SHORT: Final = tuple(
    int(milliseconds * _MILLISECOND)
    for milliseconds in (
        *(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500),
        *(1000, 2500, 5000, 10_000, 30_000, 60_000),
    )
)
# For what includes the wait in the queue: from 5 milliseconds to a day.
_LONG: Final = tuple(
    int(seconds * SECOND)
    for seconds in (
        *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
        *(300, 900, 3600, 14_400, 86_400),
    )
)
_GROUP_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)

_BOUNDS: Final = {
    Stage.QUEUE: _LONG,
    Stage.LOOKUP: _SHORT,
    Stage.WRITE: _SHORT,
    Stage.COMMIT: _SHORT,
    Stage.TOTAL: _LONG,
}

# The index of each number, in their order.
_OUTCOMES: Final = {
    labels: place for place, labels in enumerate(itertools.product(OUTCOMES, FORMATS))
}
_LOCK_WAITS: Final = len(_OUTCOMES)
_LOCK_WAITED: Final = _LOCK_WAITS + 1
COMMIT_GROUPS: Final = Histogram(_LOCK_WAITED + 1, _GROUP_SIZES)


def _stages() -> dict[Stage, Histogram]:
    found = {}
    first = COMMIT_GROUPS.last + 1
    for stage, bounds in _BOUNDS.items():
        found[stage] = Histogram(first, bounds)
        first = found[stage].last + 1
    return found


STAGES: Final = _stages()
_REFUSALS: Final = {
    labels: place
    for place, labels in enumerate(
        itertools.product(REFUSED, REFUSALS),
        1 + max(histogram.last for histogram in STAGES.values()),
    )
}
_RECOUNTS: Final = 1 + max(_REFUSALS.values())
_RECOUNTED_FILES: Final = _RECOUNTS + 1
_RECOUNTED_TIME: Final = _RECOUNTS + 2
_WARNINGS: Final = _RECOUNTS + 3
SIZE: Final = _WARNINGS + 1


class Recounts(NamedTuple):
    """How often maildirs were counted, all their files, and how long it took."""

    times: int
    files: int
    nanoseconds: int


class Counts:
    """The numbers of one worker, or the sums of many."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: MutableSequence[int] | memoryview) -> None:
        self.numbers = numbers

    def outcome(self, outcome: str, format_: str) -> None:
        """A recipient was reported."""
        self.numbers[_OUTCOMES[outcome, format_]] += 1

    def stage(self, stage: Stage, nanoseconds: int, times: int = 1) -> None:
        """A stage took this long, for each of this many recipients."""
        STAGES[stage].count(self.numbers, nanoseconds, times)

    def lock_wait(self, nanoseconds: int) -> None:
        """A mailbox was locked by another process for this long."""
        self.numbers[_LOCK_WAITS] += 1
        self.numbers[_LOCK_WAITED] += nanoseconds

    def commit_group(self, files: int) -> None:
        """This many files were committed together."""
        COMMIT_GROUPS.count(self.numbers, files, 1)

    def refusal(self, outcome: str, reason: str) -> None:
        """Mail over quota was refused."""
        self.numbers[_REFUSALS[outcome, reason]] += 1

    def recount(self, files: int, nanoseconds: int) -> None:
        """So many files of a maildir were counted in this time."""
        self.numbers[_RECOUNTS] += 1
        self.numbers[_RECOUNTED_FILES] += files
        self.numbers[_RECOUNTED_TIME] += nanoseconds

    def warning(self) -> None:
        """A user was warned about their quota."""
        self.numbers[_WARNINGS] += 1

    def outcomes(self) -> dict[tuple[str, str], int]:
        """How many recipients, by outcome and format."""
        return {labels: self.numbers[place] for labels, place in _OUTCOMES.items()}

    def lock_waits(self) -> tuple[int, int]:
        """How often a lock was waited for, and how long in all."""
        return self.numbers[_LOCK_WAITS], self.numbers[_LOCK_WAITED]

    def refusals(self) -> dict[tuple[str, str], int]:
        """How much mail over quota was refused, by outcome and reason."""
        return {labels: self.numbers[place] for labels, place in _REFUSALS.items()}

    def recounts(self) -> Recounts:
        """How maildirs were counted."""
        return Recounts(*self.numbers[_RECOUNTS:_WARNINGS])

    def warnings(self) -> int:
        """How many users were warned about their quota."""
        return self.numbers[_WARNINGS]
