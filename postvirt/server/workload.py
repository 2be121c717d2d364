"""How many workers should accept clients.

One worker serves many clients, and commits their mail together; as long as it keeps up,
a second one would only cost memory. But it uses one processor. So another one is wanted
when all of them have been busy for some seconds and a processor was idle, and there is
one too many when the others could do its work as well.

Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from postvirt.server.watched_worker import WatchedWorker
from postvirt.system import processors

# How often to look.
LOOK_SECONDS = 1.0

# Parts of a processor: a worker that uses more is busy, and there is a free processor
# when more was idle.
_BUSY = 0.85
_FREE = 0.5
# How much of each processor the rest would use if there were one worker less.
_COULD_DO = 0.6

# For how many looks it must have been so.
_LOOKS_TO_GROW = 2
_LOOKS_TO_SHRINK = 10


class Workload:
    """Looks now and then at what workers use."""

    def __init__(self) -> None:
        self._idle = 0.0
        self._used: dict[int, float] = {}
        self._busy_looks = self._lazy_looks = 0

    def change(self, workers: Iterable[WatchedWorker]) -> int:
        """What LOOK_SECONDS with these workers show: 1 more, 1 less (-1), or 0."""
        workers = list(workers)
        idle, before = processors.idle_seconds(), self._idle
        used = {worker.pid: processors.used_seconds(worker.pid) for worker in workers}
        parts = [
            (used[worker.pid] - self._used[worker.pid]) / LOOK_SECONDS
            for worker in workers
            if worker.pid in self._used
        ]
        self._idle, self._used = idle, used
        if len(parts) < len(workers) or not parts:  # one has only just begun
            self._busy_looks = self._lazy_looks = 0
            return 0
        are_busy = min(parts) > _BUSY and all(
            worker.slot.in_flight > 1 for worker in workers
        )
        is_free = (idle - before) / LOOK_SECONDS > _FREE
        is_lazy = sum(parts) < (len(parts) - 1) * _COULD_DO
        self._busy_looks = self._busy_looks + 1 if are_busy and is_free else 0
        self._lazy_looks = self._lazy_looks + 1 if is_lazy else 0
        if self._busy_looks >= _LOOKS_TO_GROW:
            self._busy_looks = 0
            return 1
        if self._lazy_looks >= _LOOKS_TO_SHRINK:
            self._lazy_looks = 0
            return -1
        return 0
