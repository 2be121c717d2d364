from __future__ import annotations

import os
import time

from postvirt.server.scoreboard import Activity, Scoreboard, Slot
from tests.harness.child import exit_status_of


def test_what_a_worker_does_is_seen_by_others() -> None:
    slot = Scoreboard().take()
    before = time.monotonic()

    def work() -> None:
        slot.listen(True)
        slot.begin()
        slot.begin()
        slot.end()
        os._exit(7)

    assert exit_status_of(work) == 7
    activity = slot.read()
    assert activity == Activity(True, 1, 1, activity.last_accept)
    assert int(before * 1000) / 1000 <= activity.last_accept <= time.monotonic()


def test_a_worker_is_told_to_leave() -> None:
    slot = Scoreboard().take()
    assert not slot.is_dismissed
    slot.dismiss()
    assert slot.is_dismissed


def test_a_slot_is_used_again_and_empty_then() -> None:
    scoreboard = Scoreboard()
    slots = [scoreboard.take() for _ in range(600)]  # more than there are
    for slot in slots:
        slot.begin()
        slot.dismiss()
        scoreboard.give_back(slot)
    again = scoreboard.take()
    assert again.read() == Activity(False, 0, 0, 0.0)
    assert not again.is_dismissed


def test_slots_do_not_touch_each_other() -> None:
    scoreboard = Scoreboard()
    one, other = scoreboard.take(), scoreboard.take()
    one.begin()
    assert other.read() == Slot().read()
