"""The watchdog process's end of a companion, with a companion that echoes."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from postvirt.server.companion import SHARED_FD, Companion
from postvirt.server.loop import Loop
from tests.harness.child import Log, in_child, open_descriptors

T = TypeVar("T")

PATIENCE_SECONDS = 20


class Scene:
    """A companion, its loop, and what it has said."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.said: list[dict[str, Any]] = []
        self.companion = Companion(
            self.loop, "echo", "tests.harness.echo_companion", self.said.append
        )

    def turn_until(self, is_reached: Callable[[], bool]) -> None:
        while not is_reached():
            self.loop.turn()

    def next_said(self) -> dict[str, Any]:
        self.turn_until(lambda: bool(self.said))
        return self.said.pop(0)


def alone(story: Callable[[Scene], T]) -> T:
    """Run a story in a child of its own, as a loop owns the signals."""

    def run() -> T:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(PATIENCE_SECONDS)  # instead of waiting for ever
        scene = Scene()
        try:
            return story(scene)
        finally:
            scene.companion.close()

    return in_child(run)


def test_it_is_started_told_and_heard() -> None:
    def story(scene: Scene) -> list[object]:
        companion = scene.companion
        states = [companion.state]
        companion.tell(["a", "b"], {"n": 1})
        states.append(companion.state)
        said = scene.next_said()
        states.append(companion.state)
        pid = companion.pid
        companion.tell(["c"], {"n": 2})  # arguments are for the next process
        return [states, said, scene.next_said(), companion.pid == pid]

    assert alone(story) == [
        ["dead", "starting", "echoing"],
        {"state": "echoing", "arguments": ["a", "b"], "wanted": {"n": 1}},
        {"state": "echoing", "arguments": ["a", "b"], "wanted": {"n": 2}},
        True,
    ]


def test_only_the_last_wish_is_sent_when_it_is_busy() -> None:
    """What does not fit into the pipe is replaced, and no line is cut in two."""

    def story(scene: Scene) -> list[object]:
        companion = scene.companion
        companion.tell([], {"n": 0, "much": "x" * 1_000_000})
        scene.loop.turn()  # a part of it is on its way
        for number in (1, 2, 3):
            companion.tell([], {"n": number})
        first = scene.next_said()["wanted"]["n"]
        return [first, scene.next_said()["wanted"]["n"], scene.said]

    first, last, more = alone(story)
    assert (first, last, more) == (0, 3, [])


def test_it_shares_one_descriptor(tmp_path: Path) -> None:
    (tmp_path / "shared").write_text("")
    inode = (tmp_path / "shared").stat().st_ino

    def story(scene: Scene) -> int:
        fd = os.open(tmp_path / "shared", os.O_RDONLY | os.O_CLOEXEC)
        scene.companion.tell([], {"shared": SHARED_FD}, fd)
        shared: int = scene.next_said()["shared"]
        return shared

    assert alone(story) == inode


def test_one_that_died_is_replaced_and_told_again(logged: Log) -> None:
    def story(scene: Scene) -> tuple[list[bool], list[str]]:
        companion = scene.companion
        companion.tell(["a"], {"n": 1})
        scene.next_said()
        pid = companion.pid
        os.kill(pid, signal.SIGKILL)
        again = scene.next_said()
        shown = [line.replace(str(pid), "PID") for line in logged.lines]
        return [companion.pid != pid, again["wanted"] == {"n": 1}], shown

    facts, lines = alone(story)
    assert facts == [True, True]
    assert lines == ["warning: echo process PID died: next one at once"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{\n", "Expecting property name"),
        ("[]\n", "'list' object has no attribute 'get'"),
        ("[" * 100_000 + "\n", "(maximum recursion depth exceeded|Stack overflow)"),
        ('{"state": "dead"}\n', "state 'dead'"),
        ('{"state": 1}\n', "state 1"),
        ("x" * 2_000_000, "an endless line"),
    ],
    ids=["no-json", "no-object", "deep", "dead", "number", "endless"],
)
def test_one_that_says_nonsense_is_replaced(logged: Log, line: str, why: str) -> None:
    """Whoever takes it over does not reach the service."""

    def story(scene: Scene) -> tuple[bool, list[str]]:
        companion = scene.companion
        companion.tell([], {"line": line})
        scene.turn_until(lambda: bool(logged.lines))
        pid = companion.pid
        companion.tell([], {"n": 1})
        while scene.next_said()["wanted"] != {"n": 1}:
            pass
        scene.turn_until(lambda: not os.path.exists(f"/proc/{pid}"))
        return companion.pid != pid, logged.lines

    is_another, lines = alone(story)
    assert is_another
    assert lines[0].startswith("warning: echo process ")
    assert re.search(rf" says nonsense \({why}", lines[0])
    assert lines[0].endswith("): killed: next one at once")


class _PausingLoop:
    """A loop that does something else with pauses."""

    def __init__(self, loop: Loop, call_after: Callable[..., None]) -> None:
        self._loop = loop
        self.call_after = call_after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def test_one_that_keeps_dying_is_started_more_slowly(logged: Log) -> None:
    def story(scene: Scene) -> tuple[str, list[float]]:
        pauses: list[float] = []
        real = scene.loop.call_after

        def at_once(seconds: float, callback: Callable[[], None]) -> None:
            pauses.append(seconds)
            real(0, callback)

        scene.companion._loop = cast("Loop", _PausingLoop(scene.loop, at_once))
        scene.companion.tell([], {"end": True})
        scene.turn_until(lambda: len(pauses) == 4)
        return logged.lines[-1].split(": ")[-1], pauses[:4]

    assert alone(story) == ("next one in 4 seconds", [0.0, 1.0, 2.0, 4.0])


def test_one_that_cannot_be_started_is_tried_again(
    logged: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def story(scene: Scene) -> tuple[str, list[str], bool]:
        pauses: list[float] = []

        def never(seconds: float, callback: Callable[[], None]) -> None:
            pauses.append(seconds)

        scene.companion._loop = cast("Loop", _PausingLoop(scene.loop, never))
        before = open_descriptors()
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        scene.companion.tell([], {"n": 1})
        leaks = open_descriptors() != before
        return scene.companion.state, [*logged.lines, str(pauses)], leaks

    assert alone(story) == (
        "dead",
        [
            "error: start echo: No such file or directory: trying again in 1 seconds",
            "[1.0]",
        ],
        False,
    )


def test_closing_ends_it_and_leaves_nothing() -> None:
    def story(scene: Scene) -> tuple[str, bool, int]:
        before = open_descriptors()
        companion = scene.companion
        companion.tell([], {"n": 1})
        scene.next_said()
        pid = companion.pid
        companion.close()
        timers = iter(range(1000))
        while True:  # no zombie stays
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                break
            scene.loop.turn()
            next(timers)
        return companion.state, open_descriptors() == before, len(scene.said)

    assert alone(story) == ("dead", True, 0)
