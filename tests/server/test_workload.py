"""When another worker is wanted, and when there is one too many."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from postvirt.server.metrics.scoreboard import Slot
from postvirt.server.watched_worker import WatchedWorker
from postvirt.server.workload import LOOK_SECONDS, Workload
from postvirt.system import processors


class Machine:
    """Workers that are busy for a part of the time, and an idle part of processors."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, workers: int, clients: int = 2
    ) -> None:
        self._now = 1000.0
        self._idle = self._ended = 0.0
        self._last_pid = 0
        self._workload = Workload()
        monkeypatch.setattr(time, "monotonic", lambda: self._now)
        monkeypatch.setattr(processors, "idle_seconds", lambda: self._idle)
        self.workers: list[WatchedWorker] = []
        for _ in range(workers):
            self.begin(clients)

    def begin(self, clients: int = 2) -> None:
        self._last_pid += 1
        slot = Slot()
        for _ in range(clients):
            slot.begin()
        worker = WatchedWorker(pid=self._last_pid, words_fd=-1, slot=slot, started=0)
        self.workers.append(worker)

    def replace(self, number: int) -> None:
        """A worker ends after max_use clients, and its successor goes on."""
        self._ended += self.workers.pop(number).slot.busy_seconds
        self.begin()

    def looks(
        self,
        parts: Sequence[float],
        idle: float,
        looks: int,
        seconds: float = LOOK_SECONDS,
    ) -> list[int]:
        """What comes of so many looks; workers are busy for these parts of the time."""
        found = []
        for _ in range(looks):
            self._now += seconds
            self._idle += idle * seconds
            for worker, part in zip(self.workers, parts, strict=True):
                worker.slot.work(part * seconds)
            count = len(self.workers)
            found.append(self._workload.change(self.workers, count, self._ended))
        return found


Make = Callable[..., Machine]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Make:
    return partial(Machine, monkeypatch)


def test_busy_worker_and_idle_processor_make_another_one(machine: Make) -> None:
    """The first look after a rest sees the rest as well."""
    assert machine(1).looks([0.95], 1.0, 2) == [0, 1]


def test_a_moment_of_work_does_not(machine: Make) -> None:
    assert not any(machine(1).looks([0.8], 1.0, 10))


def test_the_time_between_looks_may_vary(machine: Make) -> None:
    assert not any(machine(1).looks([0.6], 1.0, 10, seconds=2 * LOOK_SECONDS))
    assert machine(1).looks([0.9], 0.6, 2, seconds=2 * LOOK_SECONDS) == [0, 1]


def test_workers_may_live_shorter_than_a_look_takes(machine: Make) -> None:
    """With max_use clients behind them they are replaced, many times in a second."""
    one = machine(1)
    one.looks([0.95], 1.0, 1)
    one.replace(0)
    assert one.looks([0.95], 1.0, 1) == [1]


def test_without_an_idle_processor_another_one_would_not_help(machine: Make) -> None:
    assert not any(machine(1).looks([1.0], 0.2, 10))


def test_with_one_client_nothing_changes(machine: Make) -> None:
    assert not any(machine(1, clients=1).looks([1.0], 1.0, 10))


def test_all_must_be_busy(machine: Make) -> None:
    assert not any(machine(2).looks([1.0, 0.65], 1.0, 10))
    assert any(machine(2).looks([1.0, 0.9], 1.0, 10))


def test_one_that_the_others_can_replace_leaves_after_a_while(machine: Make) -> None:
    changes = machine(2).looks([0.3, 0.2], 1.0, 27)
    assert changes == [0] * 24 + [-1, 0, 0]


def test_two_half_busy_ones_stay(machine: Make) -> None:
    assert not any(machine(2).looks([0.5, 0.5], 1.0, 60))


def test_the_last_one_stays(machine: Make) -> None:
    assert not any(machine(1).looks([0.0], 1.0, 60))


def test_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= processors.usable() <= (os.cpu_count() or 1)
    assert processors.idle_seconds() > 0

    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("builtins.open", refuse)
    assert processors.idle_seconds() == 0
