"""Work for the workers of a watchdog process."""

from __future__ import annotations

from collections.abc import Callable

from postvirt.server.worker_protocol import Leave, Parent

Work = Callable[[Parent], Leave]


class Jobs:
    """A Job for a watchdog process: each worker does what `next_work` returns."""

    def __init__(self, next_work: Callable[[], Work]) -> None:
        self.prepared = 0
        self.most = 100
        self._next_work = next_work

    def prepare(self) -> None:
        """Another worker is about to start."""
        self.prepared += 1
        self._work = self._next_work()

    def work(self, parent: Parent) -> Leave:
        """Be this worker."""
        return self._work(parent)
