"""What is done with a worker that gives no sign of life, second by second."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from typing import Any, cast

import pytest

from postvirt.server import hang_watch
from postvirt.server.hang_watch import INTERVAL_SECONDS, HangWatch
from postvirt.server.metrics.scoreboard import Slot
from postvirt.server.watched_worker import Health, WatchedWorker
from tests.harness.child import Log

MAILBOX = b"/mail/evil/"
WAITS = "warning: worker process 7 does not come back"
HERE = " from mailbox /mail/evil/ (uid 5001)"
GOES_ON = " -- another one accepts clients"


class Loop:
    """A loop whose time passes when the test says so."""

    def __init__(self) -> None:
        self.is_stopping = False
        self.now = 0.0
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def on_signal(self, number: int, callback: Callable[[], None]) -> None:
        assert number == signal.SIGCHLD

    def call_after(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timers.append((self.now + seconds, callback))

    def pass_by(self, seconds: float, each: Callable[[], object] = lambda: 0) -> None:
        for _ in range(round(seconds / INTERVAL_SECONDS)):
            each()
            self.now += INTERVAL_SECONDS
            due = [one for one in self._timers if one[0] <= self.now + 0.001]
            self._timers = [one for one in self._timers if one not in due]
            for _, callback in due:
                callback()

    @property
    def is_idle(self) -> bool:
        return not self._timers


class Scene:
    """A worker with a client, and what is done with it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = Loop()
        self.replaced: list[int] = []
        self.killed: list[int] = []
        self.answered: list[object] = []
        self.can_be_answered = True
        self.wants_more_looks = False
        slot = Slot()
        self.worker = WatchedWorker(pid=7, words_fd=-1, slot=slot, started=0)
        self.slot = slot
        slot.begin()
        monkeypatch.setattr(hang_watch, "clients_of", self._clients_of)
        monkeypatch.setattr(hang_watch, "answer", self.answered.append)
        monkeypatch.setattr(os, "kill", lambda pid, number: self.killed.append(number))
        self.watch = HangWatch(
            cast("Any", self.loop),
            {7: self.worker},
            lambda worker: self.replaced.append(worker.pid),
            lambda: self.wants_more_looks,
        )
        self.watch.begin()

    def _clients_of(self, pid: int) -> list[str]:
        if not self.can_be_answered:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return ["a client"]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_one_that_comes_round_is_left_alone(scene: Scene, logged: Log) -> None:
    scene.loop.pass_by(20, scene.slot.beat)
    assert (scene.replaced, scene.killed, logged.lines) == ([], [], [])
    assert scene.worker.health is Health.SOUND


def test_in_a_mailbox_it_is_replaced_then_killed(scene: Scene, logged: Log) -> None:
    scene.slot.enter(MAILBOX, 5001)
    scene.loop.pass_by(0.8)
    assert scene.replaced == []
    scene.loop.pass_by(0.2)
    assert scene.replaced == [7]
    assert scene.watch.hung.seconds(MAILBOX, 5001) is not None
    scene.loop.pass_by(2.8)
    assert scene.killed == []
    scene.loop.pass_by(0.4)
    assert scene.killed == [signal.SIGKILL]
    assert scene.answered == [["a client"]]
    scene.loop.pass_by(30)
    assert (scene.replaced, scene.killed) == ([7], [signal.SIGKILL])
    waits, killed = logged.lines
    assert waits == WAITS + HERE + GOES_ON
    assert killed == (
        "warning: worker process 7 hangs in mailbox /mail/evil/ (uid 5001): killed;"
        " clients told to try again: 1"
    )


def test_mail_waits_for_a_while_after_its_end(scene: Scene, logged: Log) -> None:
    scene.slot.enter(MAILBOX, 5001)
    scene.loop.pass_by(6)
    scene.watch.handle_end(scene.worker)
    assert logged.lines[-1] == (
        "worker process 7 has ended: mailbox /mail/evil/ receives mail again"
        " in 5 seconds"
    )
    scene.loop.pass_by(4)
    assert scene.watch.hung.seconds(MAILBOX, 5001) is not None
    scene.loop.pass_by(2)
    assert scene.watch.hung.seconds(MAILBOX, 5001) is None


def test_one_that_comes_back_is_no_case_any_more(scene: Scene, logged: Log) -> None:
    scene.slot.enter(MAILBOX, 5001)
    scene.loop.pass_by(2)
    scene.slot.beat()
    scene.loop.pass_by(0.2)
    assert scene.worker.health is Health.SOUND
    assert scene.watch.hung.seconds(MAILBOX, 5001) is None
    assert logged.lines[-1] == "worker process 7 came back after 2.0 seconds"
    scene.watch.handle_end(scene.worker)
    assert len(logged.lines) == 2


@pytest.mark.parametrize("clients", [1, 2])
def test_a_commit_is_not_ended_for_its_own_client_alone(
    scene: Scene, logged: Log, clients: int
) -> None:
    """That one would get the message twice."""
    scene.slot.enter(MAILBOX, 5001, commits=True)
    if clients == 2:
        scene.slot.begin()
    scene.loop.pass_by(4.8)  # the disk may be busy
    assert (scene.replaced, scene.killed) == ([7], [])
    scene.loop.pass_by(0.4)
    assert scene.killed == [signal.SIGKILL] * (clients - 1)
    scene.loop.pass_by(60)
    assert scene.killed == [signal.SIGKILL] * (clients - 1)
    scene.loop.is_stopping = True
    scene.loop.pass_by(1)
    assert scene.killed == [signal.SIGKILL]


def test_outside_of_mailboxes_another_one_would_hang_as_well(
    scene: Scene, logged: Log
) -> None:
    scene.slot.begin()
    scene.loop.pass_by(60)
    assert (scene.replaced, scene.killed) == ([7], [])
    assert logged.lines == [WAITS + GOES_ON]


def test_a_stopped_one_is_killed_even_without_clients(
    scene: Scene, logged: Log
) -> None:
    scene.slot.end()
    scene.worker.is_stopped = True
    scene.loop.pass_by(6)
    assert (scene.replaced, scene.killed) == ([7], [signal.SIGKILL])


def test_it_is_killed_even_if_its_clients_cannot_be_answered(
    scene: Scene, logged: Log
) -> None:
    scene.can_be_answered = False
    scene.slot.enter(MAILBOX, 5001)
    scene.loop.pass_by(6)
    assert scene.killed == [signal.SIGKILL]
    assert logged.lines[1] == (
        "warning: cannot answer the clients of worker process 7:"
        " Operation not permitted: they wait until it has ended"
    )


def test_nothing_is_looked_at_while_there_are_no_clients(scene: Scene) -> None:
    scene.slot.end()
    scene.loop.pass_by(9)
    assert scene.slot.is_watched
    scene.loop.pass_by(2)
    assert not scene.slot.is_watched
    assert scene.loop.is_idle
    scene.watch.begin()
    assert scene.slot.is_watched
    scene.wants_more_looks = True
    scene.loop.pass_by(30)
    assert scene.slot.is_watched


def test_a_client_that_comes_at_the_last_moment_is_not_missed(scene: Scene) -> None:
    """Its worker saw that it was watched, and so did not ask for it."""
    scene.slot.end()
    scene.loop.pass_by(9.8)
    watch = scene.watch._watch

    def come(*, is_watching: bool) -> None:
        watch(is_watching=is_watching)
        if not is_watching:
            scene.slot.begin()

    scene.watch._watch = come  # type: ignore[method-assign]
    scene.loop.pass_by(0.4)
    assert scene.slot.is_watched
    assert not scene.loop.is_idle
