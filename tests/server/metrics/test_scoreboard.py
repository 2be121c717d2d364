from __future__ import annotations

import mmap
import os
import time

import pytest

from postvirt.server.hung_mailboxes import HungMailboxes
from postvirt.server.metrics.scoreboard import (
    _MOST_LOOKS,
    MOST_PATH_BYTES,
    Activity,
    Inside,
    Reason,
    Scoreboard,
    Slot,
    Spectator,
)
from tests.harness.child import exit_status_of


def test_what_a_worker_does_is_seen_by_others() -> None:
    slot = Scoreboard().take()
    before = time.monotonic()

    def work() -> None:
        slot.accepts = True
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
    assert again.is_shared


def test_where_a_worker_is_is_seen_by_others() -> None:
    scoreboard = Scoreboard()
    slot, other = scoreboard.take(), scoreboard.take()
    assert slot.inside() is None
    slot.enter(b"/mail/a longer one/", 5002)
    slot.enter(b"/mail/bob/", 5001, commits=True)
    inside = slot.inside()
    assert inside == Inside(b"/mail/bob/", 5001, inside.since if inside else 0, True)
    assert inside.since <= time.monotonic() < inside.since + 60
    assert other.inside() is None
    # Others only have to know when it hangs there.
    spectator = Spectator(scoreboard.fd)
    assert spectator.look().hung == []
    slot.is_hung = True
    assert spectator.look().hung == [inside]
    slot.leave()
    assert spectator.look().hung == []


def test_a_worker_that_enters_a_mailbox_again_is_there() -> None:
    scoreboard = Scoreboard()
    slot = scoreboard.take()
    one, other = b"/mail/bob/", b"/mail/alice/"
    for path in (one, one, other, one):
        slot.enter(path, 5001)
        inside = slot.inside()
        assert inside is not None
        assert inside.path == path
        slot.leave()
    scoreboard.give_back(slot)
    slot = scoreboard.take()
    slot.enter(one, 5001)
    inside = slot.inside()
    assert inside is not None
    assert inside.path == one


def test_of_a_long_path_the_beginning_is_noted() -> None:
    slot = Slot()
    slot.enter(b"/" + b"x" * 5000, 1)
    inside = slot.inside()
    assert inside is not None
    assert inside.path == b"/" + b"x" * (MOST_PATH_BYTES - 1)


def test_slots_do_not_touch_each_other() -> None:
    scoreboard = Scoreboard()
    one, other = scoreboard.take(), scoreboard.take()
    one.begin()
    assert other.read() == Slot().read()


def test_what_a_worker_has_counted_outlives_it() -> None:
    scoreboard = Scoreboard()
    spectator = Spectator(scoreboard.fd)
    slot = scoreboard.take()

    def work() -> None:
        slot.accepts = True
        slot.begin()
        slot.begin()
        slot.end()
        slot.work(1.5)
        slot.work(0.25)
        slot.counts.outcome("sent", "maildir")
        os._exit(0)

    assert exit_status_of(work) == 0
    totals = spectator.look()
    assert (totals.workers, totals.accepting) == (1, 1)
    assert (totals.in_flight, totals.served) == (1, 1)
    assert totals.busy_seconds == slot.busy_seconds == 1.75
    assert totals.counts.outcomes()["sent", "maildir"] == 1
    scoreboard.give_back(slot)
    scoreboard.count_end(Reason.KILLED)
    later = spectator.look()
    assert (later.workers, later.accepting, later.in_flight) == (0, 0, 0)
    assert later.served == scoreboard.gone.read().served == 1
    assert later.busy_seconds == scoreboard.gone.busy_seconds == 1.75
    assert later.counts.outcomes() == totals.counts.outcomes()
    assert {reason for reason, count in later.ends.items() if count} == {Reason.KILLED}


def test_nothing_is_counted_twice_or_lost_while_it_is_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers that count 1 and -1 in turn: at no time is the sum another number.

    Unless the one who counts waits for a processor in the midst of it for so long that
    the spectator gives up.
    """
    scoreboard = Scoreboard()
    spectator = Spectator(scoreboard.fd)
    sleep, slept = time.sleep, 0

    def count(seconds: float) -> None:
        nonlocal slept
        slept += 1
        sleep(seconds)

    def work() -> None:
        for number in range(4000):
            slot = scoreboard.take()
            slot.counts.lock_wait(-1 if number % 2 else 1)
            scoreboard.give_back(slot)
        os._exit(0)

    pid = os.fork()
    if pid == 0:
        work()
    monkeypatch.setattr(time, "sleep", count)
    seen = set()
    while not os.waitpid(pid, os.WNOHANG)[0]:
        slept = 0
        counted = spectator.look().counts.lock_waits()[1]
        if slept < _MOST_LOOKS:
            seen.add(counted)
    assert seen
    assert seen <= {0, 1}
    assert spectator.look().counts.lock_waits() == (4000, 0)


def test_what_is_moved_may_stop_in_the_midst_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The watchdog process waits for a processor, longer than many looks take."""
    scoreboard = Scoreboard()
    spectator = Spectator(scoreboard.fd)
    slot = scoreboard.take()
    slot.counts.lock_wait(1)
    slept: list[float] = []

    def go_on_later(seconds: float) -> None:
        slept.append(seconds)
        if sum(slept) > 0.05:
            scoreboard._head[0] += 1  # it is not being moved any more

    monkeypatch.setattr(time, "sleep", go_on_later)
    scoreboard._head[0] += 1
    assert spectator.look().counts.lock_waits()[1] == 1
    assert 0.05 < sum(slept) < 0.06


def test_all_slots_that_were_ever_used_are_seen() -> None:
    scoreboard = Scoreboard()
    slots = [scoreboard.take() for _ in range(600)]
    for slot in slots:
        slot.counts.commit_group(1)
    spectator = Spectator(scoreboard.fd)
    assert spectator.look().workers == 512
    for slot in slots[:100]:
        scoreboard.give_back(slot)
    assert spectator.look().workers == 412


def test_the_memory_is_not_for_others_to_write() -> None:
    scoreboard = Scoreboard()
    with pytest.raises(PermissionError):
        mmap.mmap(scoreboard.fd, 0)
    with pytest.raises(PermissionError):
        os.write(scoreboard.fd, b"a")


@pytest.mark.parametrize("number", [-(2**63), -1, 2**53, 2**63 - 1])
def test_whatever_a_worker_writes_the_watchdog_process_goes_on(number: int) -> None:
    scoreboard, hung = Scoreboard(), HungMailboxes()
    for _ in range(2):  # the first one's numbers are added to
        slot = scoreboard.take()
        for memory in (slot._numbers, scoreboard._head, hung._head):
            for place in range(len(memory)):
                memory[place] = number
        slot.read()
        hung.add(slot.inside(), 1)
        Spectator(scoreboard.fd).look()
        assert len(hung) >= 0
        scoreboard.count_end(Reason.DIED)
        scoreboard.give_back(slot)


def test_a_worker_cannot_make_the_number_of_hung_mailboxes_negative() -> None:
    hung = HungMailboxes()
    hung._head[0] = -1
    assert len(hung) == 0
