"""Clocks that somebody sets."""

from __future__ import annotations

import time

import pytest

from postvirt.system.clock import SteadyClock


@pytest.mark.parametrize(
    ("step", "slept", "seen"),
    [(0, 5, 5), (3600, 0, 0), (3600, 5, 5), (-3600, 5, -3595), (3605, 3605, 3605)],
)
def test_steps_forward_do_not_count_but_time_does(
    monkeypatch: pytest.MonkeyPatch, step: float, slept: float, seen: float
) -> None:
    """The clock is set by `step` in all; the machine may have slept in that time."""
    began, booted = 1_700_000_000.0, 50_000.0
    monkeypatch.setattr(time, "time", lambda: began)
    monkeypatch.setattr(time, "clock_gettime", lambda _: booted)
    clock = SteadyClock()
    shown = began + (step if step >= slept else step + slept)
    monkeypatch.setattr(time, "time", lambda: shown)
    monkeypatch.setattr(time, "clock_gettime", lambda _: booted + slept)
    assert clock.now() == began + seen


def test_a_process_that_is_forked_may_start_it_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody may have set the clock right since it was made."""
    monkeypatch.setattr(time, "clock_gettime", lambda _: 50_000.0)
    monkeypatch.setattr(time, "time", lambda: 1_000.0)
    clock = SteadyClock()
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
    assert clock.now() == 1_000.0
    clock.start()
    assert clock.now() == 1_700_000_000.0
