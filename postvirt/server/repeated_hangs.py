"""For how long mail for a mailbox waits after the worker that hung there has ended.

A file server may be back at once; mail should not wait for longer than that was gone.
An owner can have workers hang again and again, and each time costs other mail a worker.
So mail waits for a moment the first time, and for twice as long whenever the owner's
mailboxes hang again, up to a minute, until they have not for two.

Raises: nothing.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from postvirt.server.metrics.scoreboard import Inside

FIRST_SECONDS = 5.0
MOST_SECONDS = 60.0

_FORGOTTEN_SECONDS = 120.0


class _Hang(NamedTuple):
    """When it ended (a time.monotonic()), and for how long mail waited after that."""

    ended: float
    seconds: float


class RepeatedHangs:
    """The last hang of each owner."""

    def __init__(self) -> None:
        self._last: dict[int, _Hang] = {}  # by uid

    def seconds(self, inside: Inside) -> float:
        """A worker that hung here has ended: for how long mail has to wait now."""
        now = time.monotonic()
        self._last = {
            uid: last
            for uid, last in self._last.items()
            if now < last.ended + _FORGOTTEN_SECONDS
        }
        last = self._last.get(inside.uid)
        if last is not None and inside.since < last.ended:
            return last.seconds  # they hung at the same time
        seconds = min(last.seconds * 2, MOST_SECONDS) if last else FIRST_SECONDS
        self._last[inside.uid] = _Hang(now, seconds)
        return seconds
