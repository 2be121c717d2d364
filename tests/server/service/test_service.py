"""A service from start to end, in a child; tests/cli has the commands."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from typing import Any

import pytest

from postvirt.server.service import in_force
from postvirt.server.service.control_client import Answer
from postvirt.server.service.daemonise import WORKS, Starter
from postvirt.server.service.options import Wanted
from postvirt.server.service.service import Service
from postvirt.server.watched_worker import Health
from postvirt.standin.instance import Instance
from postvirt.system import log
from tests.harness.child import Log, in_child
from tests.harness.service import configure

_PATIENCE_SECONDS = 20

Story = Callable[[Service, list[Answer]], None]
Run = Callable[[Story], tuple[int, bytes, list[str], list[Answer]]]


@pytest.fixture
def run(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a service; its status, what the starter heard, the log, and the answers.

    A story says what is to happen; it gets the service before that runs.
    """
    monkeypatch.setenv("MAIL_CONFIG", str(instance.etc))
    configure(instance, "static:bob/", ipc_timeout="30s", maillog_file="")

    def start(story: Story) -> tuple[int, bytes, list[str], list[Answer]]:
        reads, writes = os.pipe()

        def child() -> tuple[int, list[str], list[Answer]]:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(_PATIENCE_SECONDS)  # instead of waiting for ever
            os.chdir(instance.spool)
            lines, answers = Log(), list[Answer]()
            monkeypatch.setattr(
                log, "start", lambda *_, **__: monkeypatch.setattr(log, "_sink", lines)
            )
            service = Service(Wanted("mine"), Starter(writes))
            story(service, answers)
            return service.run(), lines.lines, answers

        status, lines, answers = in_child(child)
        os.close(writes)
        with open(reads, "rb") as pipe:
            return status, pipe.read(), lines, answers

    return start


def when_ready(service: Service, act: Callable[[], object]) -> None:
    """Do something as soon as the service accepts mail."""
    watchdog: Any = service._watchdog
    ready = watchdog._on_ready

    def acts() -> None:
        ready()
        act()

    watchdog._on_ready = acts


def test_it_starts_and_stops(run: Run, instance: Instance) -> None:
    def story(service: Service, answers: list[Answer]) -> None:
        def stop() -> None:
            service._status(answers.append)
            for _ in range(2):  # the second time it is stopping already
                service._stop(answers.append)
            service._status(answers.append)

        service._status(answers.append)
        when_ready(service, stop)

    status, heard, lines, answers = run(story)
    assert (status, heard) == (0, WORKS)
    assert [line.partition(" --")[0] for line in lines] == [
        "started",
        "stopping",
        "stopped",
    ]
    states = [one["state"] for one in answers if "state" in one]
    assert states == ["starting", "running", "stopping"]
    ends = [(one["ends"], one["seconds"]) for one in answers if "ends" in one]
    assert ends == [(True, 30)] * 2
    assert list((instance.spool / "private").iterdir()) == []
    assert not list((instance.spool / "pid").glob("*.control"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it(number: signal.Signals, run: Run) -> None:
    def story(service: Service, answers: list[Answer]) -> None:
        when_ready(service, lambda: os.kill(os.getpid(), number))

    status, _, lines, _ = run(story)
    assert (status, lines[1:]) == (0, ["stopping", "stopped"])


def test_one_that_is_stopped_before_it_accepts_mail_has_not_started(
    run: Run, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workers, which do not get ready, are killed after ipc_timeout."""
    configure(instance, "static:bob/", ipc_timeout="1s", maillog_file="")
    hang = lambda *_, **__: select.select([], [], [])  # noqa: E731
    monkeypatch.setattr(in_force, "set_up_worker", hang)

    def story(service: Service, answers: list[Answer]) -> None:
        service._loop.call_after(0, lambda: service._stop(answers.append))

    status, heard, lines, answers = run(story)
    assert status == 1
    assert WORKS not in heard
    assert lines[0] == "warning: stopped before it accepted mail"
    killed = [one for one in lines if "did not end in ipc_timeout: killed" in one]
    assert killed
    assert [one["ends"] for one in answers] == [True]
    assert list((instance.spool / "private").iterdir()) == []


def test_one_whose_workers_fail_has_not_started(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_force, "set_up_worker", lambda *_: os._exit(1))
    status, heard, lines, _ = run(lambda *_: None)
    assert status == 1
    assert WORKS not in heard
    assert not any(line.startswith("started") for line in lines)


def test_systemd_is_told_that_it_is_alive(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("postvirt.server.service.systemd.notify", told.append)
    monkeypatch.setattr(
        "postvirt.server.service.systemd.keep_alive_seconds", lambda: 3600.0
    )

    def story(service: Service, answers: list[Answer]) -> None:
        def stop() -> None:
            service._keep_alive()
            # Not while no worker that accepts clients comes round.
            for worker in service._watchdog.workers():
                worker.health = Health.QUIET
            service._keep_alive()
            service._stop(lambda _: answers.extend({"told": one} for one in told))

        when_ready(service, stop)

    _, _, _, answers = run(story)
    assert [one["told"] for one in answers] == ["WATCHDOG=1", "READY=1", "WATCHDOG=1"]
