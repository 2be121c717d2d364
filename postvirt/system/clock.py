"""The time of day, as Postfix passes it around, and one that goes on steadily."""

from __future__ import annotations

import time


def now() -> int:
    """The current time in microseconds since 1970."""
    return time.time_ns() // 1000


def time_of_day() -> float:
    """In seconds since 1970, whatever has been done to the clock."""
    return time.time()


def started() -> float:
    """When the machine was started, in seconds since 1970."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """The time of day, but as if nobody had set the clock forward since `start`.

    CLOCK_BOOTTIME cannot be set, and goes on while the machine sleeps.
    """

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Believe in the time of day as it is now; a process that is forked may."""
        self._booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)

    def now(self) -> float:
        """In seconds since 1970."""
        steady = self._booted + time.clock_gettime(time.CLOCK_BOOTTIME)
        return min(time.time(), steady)
