"""Calls that may never return."""

from __future__ import annotations

import _thread

import pytest

from postvirt.tables.databases.patience import Patience

PATIENCE_SECONDS = 60


def test_what_is_returned_or_raised_is_passed_on():
    patience: Patience[int] = Patience(lambda result: None)
    assert patience.call(lambda: 5, PATIENCE_SECONDS) == 5
    with pytest.raises(ZeroDivisionError):
        patience.call(lambda: 5 // 0, PATIENCE_SECONDS)
    assert patience.call(lambda: 6, PATIENCE_SECONDS) == 6


def test_a_result_that_comes_too_late_is_discarded():
    """And until then, nothing else is called."""
    go_on, is_discarded = _thread.allocate_lock(), _thread.allocate_lock()
    go_on.acquire()
    is_discarded.acquire()
    discarded: list[int] = []

    def discard(result: int) -> None:
        discarded.append(result)
        is_discarded.release()

    def late() -> int:
        go_on.acquire()
        return 1

    patience = Patience(discard)
    for function in (late, lambda: 2):
        with pytest.raises(TimeoutError):
            patience.call(function, 0.01)
    go_on.release()
    assert is_discarded.acquire(timeout=PATIENCE_SECONDS)
    assert discarded == [1]
    assert patience.call(lambda: 3, PATIENCE_SECONDS) == 3


def test_without_a_thread_the_next_call_is_tried_again(monkeypatch):
    patience: Patience[int] = Patience(lambda result: None)

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as context:
        context.setattr("_thread.start_new_thread", no_thread)
        with pytest.raises(TimeoutError):
            patience.call(lambda: 1, PATIENCE_SECONDS)
    assert patience.call(lambda: 2, PATIENCE_SECONDS) == 2
