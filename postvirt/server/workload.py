"""How many workers should accept clients.

One worker serves many clients, and commits their mail together; as long as it keeps up,
a second one would only cost memory. But it uses one processor, and nothing goes on in
it while it waits for a disk. So another one is wanted as soon as they have been busy
while a processor was idle, and there is one too many when the others could do its work
as well.

Raises: nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from postvirt.server.watched_worker import WatchedWorker
from postvirt.system import processors

# How often to look. The kernel counts idle time in steps of 0.01 seconds.
LOOK_SECONDS = 0.4

# A worker that worked, or waited for a disk, for a larger part of the time is busy, and
# there is a free processor when more of one was idle.
_BUSY = 0.85
_FREE = 0.5
# How busy the rest would be if there were one worker less.
_COULD_DO = 0.6

# For how many looks one too many stays. One that was not needed costs 6 ms and memory.
_LOOKS_TO_SHRINK = 25


class Workload:
    """Looks now and then at how busy workers are.

    Those that have ended count as well: a busy worker has soon served max_use clients,
    and lives shorter than a look takes.
    """

    def __init__(self) -> None:
        self._looked = self._idle = self._busy = 0.0
        self._lazy_looks = 0

    def change(
        self, workers: Iterable[WatchedWorker], count: int, busy_of_the_gone: float
    ) -> int:
        """What these workers did since the last look: 1 more, 1 less (-1), or 0.

        count is how many of them accept clients, busy_of_the_gone the seconds for which
        all that have ended were busy.
        """
        workers = list(workers)
        looked, idle = time.monotonic(), processors.idle_seconds()
        busy = sum((worker.slot.busy_seconds for worker in workers), busy_of_the_gone)
        seconds = looked - self._looked
        part = (busy - self._busy) / seconds
        is_free = (idle - self._idle) / seconds > _FREE
        self._looked, self._idle, self._busy = looked, idle, busy
        is_lazy = part < (count - 1) * _COULD_DO
        clients = sum(worker.slot.in_flight for worker in workers)
        are_busy = part > count * _BUSY and clients > count
        self._lazy_looks = self._lazy_looks + 1 if is_lazy else 0
        if are_busy and is_free:
            return 1
        if self._lazy_looks >= _LOOKS_TO_SHRINK:
            self._lazy_looks = 0
            return -1
        return 0
