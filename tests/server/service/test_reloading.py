"""The reload machine, step by step; tests/cli/test_reload.py has the whole service."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from postvirt.errors import ConfigError
from postvirt.server.metrics.scoreboard import Reason
from postvirt.server.service.configuration_check import Checked
from postvirt.server.service.control_client import Answer
from postvirt.server.service.reloading import Phase, Reload
from tests.harness.child import Log

CHECKER = 999_999
GOOD = Checked([], [])
STAYS = "warning: reload: the old configuration stays in force"


class Scene:
    """A reload whose surroundings note what it does to them, in `steps`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        self.answers: list[Answer] = []
        self.checks: list[Callable[[Checked | None], None]] = []
        self.timers: list[Callable[[], None]] = []
        self.killed: list[tuple[int, int]] = []
        self.change: Callable[[], None] = lambda: None
        self.loop = SimpleNamespace(
            is_stopping=False,
            call_after=lambda _, callback: self.timers.append(callback),
        )
        self.watchdog = SimpleNamespace(
            retire_workers=lambda reason, at_once: self.steps.append(
                f"retire {reason}"
            ),
            start_workers=lambda: self.steps.append("start"),
        )
        in_force = SimpleNamespace(
            wanted=None,
            settings=SimpleNamespace(queue_directory="/q", config_directory="/c"),
            change=self._change,
            keep=lambda: self.steps.append("keep"),
            take_back=lambda: self.steps.append("take back"),
        )
        tables = SimpleNamespace(watch=lambda: self.steps.append("watch"))
        module = "postvirt.server.service.reloading"
        monkeypatch.setattr(f"{module}.configuration_check.start", self._check)
        monkeypatch.setattr(
            f"{module}.os.kill", lambda pid, number: self.killed.append((pid, number))
        )
        surroundings = (self.loop, self.watchdog, in_force, tables)
        self.reload = Reload(*cast("Any", surroundings))

    def _check(self, *arguments: Any) -> int:
        self.checks.append(arguments[-1])
        return CHECKER

    def _change(self) -> None:
        self.change()
        self.steps.append("change")

    def begin(self) -> None:
        """A reload is being checked."""
        self.reload.start()
        self.reload.request(self.answers.append)

    def problems(self) -> list[Any]:
        """What those that asked were told."""
        return [answer["problems"] for answer in self.answers]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, logged: Log) -> Scene:
    return Scene(monkeypatch)


REPLACED = ["change", "retire reload", "watch", "start"]


def test_new_workers_take_over(scene: Scene, logged: Log) -> None:
    scene.begin()
    assert scene.reload.phase is Phase.CHECKING
    scene.checks.pop()(Checked([], ["odd"]))
    assert scene.reload.phase is Phase.REPLACING
    assert scene.steps == REPLACED
    assert scene.answers == []
    scene.reload.workers_ready()
    assert scene.answers == [{"problems": [], "warnings": ["odd"]}]
    assert scene.reload.phase is Phase.IDLE
    assert scene.reload.last is not None
    assert scene.reload.last["outcome"] == "done"
    assert [line.partition(" --")[0] for line in logged.lines] == ["reload"]


def test_nothing_begins_before_the_service_accepts_mail(scene: Scene) -> None:
    scene.reload.request(scene.answers.append)
    assert (scene.reload.phase, scene.checks) == (Phase.STARTING, [])
    scene.reload.start()
    assert scene.reload.phase is Phase.CHECKING


def test_an_error_leaves_everything_as_it_was(scene: Scene, logged: Log) -> None:
    scene.begin()
    scene.checks.pop()(Checked(["bad\n  more"], []))
    assert scene.steps == ["keep"]
    assert scene.problems() == [["bad\n  more"]]
    assert logged.lines == ["warning: reload: bad", STAYS]
    assert scene.killed == []


def test_a_check_without_an_answer_leaves_everything_as_it_was(scene: Scene) -> None:
    scene.begin()
    scene.checks.pop()(None)
    assert scene.steps == []
    assert scene.problems() == [["the check of the configuration did not end"]]


def test_what_changes_after_the_check_leaves_everything_as_it_was(scene: Scene) -> None:
    def fail() -> None:
        raise ConfigError("changed")

    scene.change = fail
    scene.begin()
    scene.checks.pop()(GOOD)
    assert scene.steps == ["keep"]
    assert scene.problems() == [["changed"]]


def test_a_new_worker_that_dies_brings_the_old_configuration_back(
    scene: Scene, logged: Log
) -> None:
    scene.begin()
    scene.checks.pop()(GOOD)
    scene.reload.worker_failed(Reason.DIED)
    assert scene.steps == [*REPLACED, "take back", *REPLACED[1:]]
    assert scene.problems() == [["the new workers do not work; see the log"]]
    assert logged.lines[-1] == STAYS
    assert scene.reload.phase is Phase.IDLE
    scene.reload.worker_failed(Reason.DIED)  # one of the old configuration
    scene.reload.workers_ready()
    assert len(scene.answers) == 1


@pytest.mark.parametrize("reason", [Reason.KILLED, Reason.DAEMON_TIMEOUT])
def test_a_new_worker_that_is_killed_changes_nothing(
    scene: Scene, reason: Reason
) -> None:
    scene.begin()
    scene.checks.pop()(GOOD)
    scene.reload.worker_failed(reason)
    assert (scene.steps, scene.reload.phase) == (REPLACED, Phase.REPLACING)


def test_workers_that_fail_or_are_ready_during_the_check_do_not_end_it(
    scene: Scene,
) -> None:
    scene.begin()
    scene.reload.worker_failed(Reason.DIED)
    scene.reload.workers_ready()
    assert (scene.answers, scene.reload.phase) == ([], Phase.CHECKING)


def test_workers_that_are_not_ready_in_time_are_reported_and_go_on(
    scene: Scene, logged: Log
) -> None:
    scene.begin()
    scene.checks.pop()(GOOD)
    give_up = scene.timers.pop()
    give_up()
    assert scene.problems() == [["the new workers are not ready yet; see the log"]]
    assert (scene.steps, scene.reload.phase) == (REPLACED, Phase.IDLE)
    assert STAYS not in logged.lines
    give_up()
    assert len(scene.answers) == 1


def test_the_timer_of_one_reload_does_not_end_the_next(scene: Scene) -> None:
    scene.begin()
    scene.checks.pop()(Checked(["bad"], []))
    scene.reload.request(scene.answers.append)
    scene.timers[0]()
    assert (len(scene.answers), scene.reload.phase) == (1, Phase.CHECKING)


def test_those_that_ask_meanwhile_get_one_reload_after_this_one(scene: Scene) -> None:
    scene.begin()
    for _ in range(2):
        scene.reload.request(scene.answers.append)
    assert len(scene.checks) == 1
    scene.checks.pop()(Checked(["bad"], []))
    assert (len(scene.answers), scene.reload.phase) == (1, Phase.CHECKING)
    scene.checks.pop()(Checked([], ["odd"]))
    scene.reload.workers_ready()
    assert scene.answers[1:] == [{"problems": [], "warnings": ["odd"]}] * 2


def test_a_stop_ends_the_check_and_answers_all(scene: Scene) -> None:
    scene.begin()
    scene.reload.request(scene.answers.append)
    scene.loop.is_stopping = True
    scene.reload.stop()
    assert scene.problems() == [["the service is stopping"]] * 2
    assert scene.killed == [(CHECKER, signal.SIGKILL)]
    scene.checks.pop()(GOOD)  # it had ended at this moment
    assert scene.steps == []
    scene.reload.request(scene.answers.append)
    assert scene.problems()[-1] == ["the service is stopping"]
