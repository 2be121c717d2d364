"""When another worker is wanted, and when there is one too many."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from postvirt.server.metrics.scoreboard import Slot
from postvirt.server.watched_worker import WatchedWorker
from postvirt.server.workload import Workload
from postvirt.system import processors


class Machine:
    """Workers that use parts of processors, of which so much is idle."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, workers: int, clients: int = 2
    ) -> None:
        self._idle = 0.0
        self._used: dict[int, float] = {}
        self._workload = Workload()
        monkeypatch.setattr(processors, "idle_seconds", lambda: self._idle)
        monkeypatch.setattr(processors, "used_seconds", self._used.__getitem__)
        self.workers: list[WatchedWorker] = []
        for _ in range(workers):
            self.begin(clients)

    def begin(self, clients: int = 2) -> None:
        pid = len(self._used) + 1
        self._used[pid] = 0.0
        slot = Slot()
        for _ in range(clients):
            slot.begin()
        self.workers.append(WatchedWorker(pid=pid, words_fd=-1, slot=slot, started=0))

    def seconds(self, parts: Sequence[float], idle: float, looks: int) -> list[int]:
        """What comes of so many looks, after the first, which compares nothing."""
        found = []
        for _ in range(looks):
            self._idle += idle
            for worker, part in zip(self.workers, parts, strict=True):
                self._used[worker.pid] += part
            found.append(self._workload.change(self.workers))
        return found


Make = Callable[..., Machine]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Make:
    return partial(Machine, monkeypatch)


def test_a_busy_worker_and_an_idle_processor_make_another_one(machine: Make) -> None:
    assert machine(1).seconds([0.95], 1.0, 4) == [0, 0, 1, 0]


def test_a_moment_of_work_does_not(machine: Make) -> None:
    one = machine(1)
    for _ in range(4):
        assert one.seconds([0.95], 1.0, 1) == [0]
        assert one.seconds([0.5], 1.0, 1) == [0]


def test_without_an_idle_processor_another_one_would_not_help(machine: Make) -> None:
    assert not any(machine(1).seconds([1.0], 0.2, 10))


def test_with_one_client_nothing_changes(machine: Make) -> None:
    assert not any(machine(1, clients=1).seconds([1.0], 1.0, 10))


def test_all_must_be_busy(machine: Make) -> None:
    assert not any(machine(2).seconds([1.0, 0.7], 1.0, 10))
    assert any(machine(2).seconds([1.0, 0.9], 1.0, 10))


def test_one_that_the_others_can_replace_leaves_after_a_while(machine: Make) -> None:
    changes = machine(2).seconds([0.3, 0.2], 1.0, 12)
    assert changes == [0] * 10 + [-1, 0]


def test_two_half_busy_ones_stay(machine: Make) -> None:
    assert not any(machine(2).seconds([0.5, 0.5], 1.0, 30))


def test_the_last_one_stays(machine: Make) -> None:
    assert not any(machine(1).seconds([0.0], 1.0, 30))


def test_a_new_one_is_looked_at_from_its_first_second_on(machine: Make) -> None:
    one = machine(1)
    one.seconds([1.0], 1.0, 2)
    one.begin()
    assert one.seconds([1.0, 1.0], 1.0, 3) == [0, 0, 1]


def test_a_process_that_works_uses_a_processor() -> None:
    before = processors.used_seconds(os.getpid())
    assert before > 0
    while processors.used_seconds(os.getpid()) < before + 0.05:
        pass
    assert processors.used_seconds(2**22 + 1) == 0


def test_processors() -> None:
    assert 1 <= processors.usable() <= (os.cpu_count() or 1)
    assert processors.idle_seconds() > 0
