"""The child that checks a configuration; tests/cli/test_reload.py has it at work."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable
from typing import NoReturn

import pytest

from postvirt.server.loop import Loop
from postvirt.server.service.configuration_check import run_in_child
from postvirt.system import log
from tests.harness.child import Log, in_child, open_descriptors


def die() -> NoReturn:
    os._exit(1)


def wait_for_ever() -> bytes:
    return str(select.select([], [], [])).encode()


@pytest.mark.parametrize(
    ("work", "answer"),
    [(lambda: b"1" * 100_000, b"1" * 100_000), (die, b""), (wait_for_ever, b"")],
)
def test_work_is_done_in_a_child(work: Callable[[], bytes], answer: bytes) -> None:
    """The answer of one that fails, or takes longer than it may, is empty."""

    def story() -> tuple[bool, bool, bytes]:
        loop = Loop()
        before = open_descriptors()
        answers: list[bytes] = []
        pid = run_in_child(loop, work, answers.append, seconds=1)
        while not answers:
            loop.turn()
        return pid > 0, open_descriptors() == before, answers[0]

    assert in_child(story) == (True, True, answer)


def test_where_there_can_be_no_child_there_is_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> int:
        raise BlockingIOError(errno.EAGAIN, "")

    def story() -> object:
        lines = Log()
        log.start(lines)
        loop = Loop()
        before = open_descriptors()
        answers: list[bytes] = []
        monkeypatch.setattr("postvirt.server.loop.os.fork", fail)
        pid = run_in_child(loop, lambda: b"never", answers.append, seconds=10)
        return pid, open_descriptors() == before, answers, lines.lines

    expected = ["error: fork: Resource temporarily unavailable"]
    assert in_child(story) == (0, True, [b""], expected)
