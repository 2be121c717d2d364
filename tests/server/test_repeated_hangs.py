"""Mail waits for longer each time that an owner's mailboxes hang."""

from __future__ import annotations

import time

import pytest

from postvirt.server.metrics.scoreboard import Inside
from postvirt.server.repeated_hangs import RepeatedHangs

OWNER, OTHER = 5001, 5002


class Scene:
    """Hangs, by a clock that stands still between them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._hangs = RepeatedHangs()

    def hang(self, uid: int = OWNER, *, lasted: float = 4.0) -> float:
        """A worker hung until now: how long mail has to wait."""
        since = self.now - lasted
        return self._hangs.seconds(Inside(b"/mail/a/", uid, since, commits=False))


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene()
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    return made


def test_it_is_twice_as_long_each_time_and_at_most_a_minute(scene: Scene) -> None:
    waits = []
    for _ in range(6):
        waits.append(scene.hang())
        scene.now += waits[-1] + 4.1
    assert waits == [5, 10, 20, 40, 60, 60]
    assert scene.hang(OTHER) == 5


def test_workers_that_hang_at_the_same_time_count_once(scene: Scene) -> None:
    assert scene.hang() == 5
    scene.now += 3.9
    assert scene.hang() == 5
    # Nor can one after the other, each before the end of the last, go on like that.
    scene.now += 3.9
    assert scene.hang() == 10


def test_after_two_minutes_it_is_forgotten(scene: Scene) -> None:
    assert scene.hang() == 5
    scene.now += 119
    assert scene.hang() == 10
    scene.now += 121
    assert scene.hang() == 5
