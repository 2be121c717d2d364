"""A commit that does not end is its owner's alone."""

from __future__ import annotations

import errno
import os
import time

import pytest

from postvirt.engine import commits
from postvirt.engine.commits import Errors
from postvirt.engine.group_commit import Disks
from postvirt.model.effects import Durable
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.system.whereabouts import COMMIT_HUNG_SECONDS
from tests.harness.background import Background, Told

EVIL, OTHER_OF_EVIL = Mailbox(b"/e/", Owner(1, 9)), Mailbox(b"/f/", Owner(1, 9))
GOOD = Mailbox(b"/g/", Owner(2, 9))


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


def add(disks: Disks, fd: int, mailbox: Mailbox) -> Told:
    told = Told()
    effect = Durable(fd, 1, True, named_by=mailbox.owner.uid, mailbox=mailbox)
    disks.add(effect, told)
    return told


def results(*told: Told) -> list[int | None]:
    """None for what waits; else 0 or an errno."""
    return [
        (one[0][1].errno if one[0][1] is not None else 0) if one else None
        for one in told
    ]


def test_a_slow_commit_keeps_the_next_one_waiting_for_a_second(
    disks: Disks, background: Background, clock: Clock
) -> None:
    first = add(disks, 11, EVIL)
    disks.work(in_background=True)
    second = add(disks, 12, GOOD)
    disks.work(in_background=True)
    assert [fd for fd, _ in background.under_way] == [11]
    clock.now += 1.5
    disks.go_on_without_slow()
    assert disks.has_work
    disks.work(in_background=True)
    assert [fd for fd, _ in background.under_way] == [11, 12]
    background.end(0, 0)
    disks.commits.finish_done()
    assert results(first, second) == [0, 0]
    assert not disks.commits.are_under_way


def test_one_that_does_not_end_fails_and_the_others_of_its_group_do_not(
    disks: Disks, background: Background, clock: Clock
) -> None:
    evil, good = add(disks, 11, EVIL), add(disks, 12, GOOD)
    disks.work(in_background=True)
    stuck = background.under_way.pop(0)
    background.end(0)
    disks.commits.finish_done()
    assert results(evil, good) == [None, None]
    clock.now += COMMIT_HUNG_SECONDS - 0.5
    disks.go_on_without_slow()
    assert results(evil) == [None]
    clock.now += 1
    disks.go_on_without_slow()
    assert results(evil, good) == [errno.ETIMEDOUT, 0]
    # Until it ends, nothing else of this owner joins it.
    assert results(add(disks, 13, OTHER_OF_EVIL)) == [errno.EAGAIN]
    later = add(disks, 14, GOOD)
    disks.work(in_background=True)
    background.under_way.append(stuck)
    background.end(0, 0)
    disks.commits.finish_done()
    assert results(evil, later) == [errno.ETIMEDOUT, 0]
    again = add(disks, 15, EVIL)
    disks.work(in_background=True)
    background.end(0)
    disks.commits.finish_done()
    assert results(again) == [0]


def test_a_commit_at_once_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the watchdog process knows where this process hangs."""
    seen: list[object] = []

    class Notes:
        def enter(self, path: bytes, uid: int, *, commits: bool = False) -> None:
            seen.append((path, uid, commits))

        def leave(self) -> None:
            seen.append("out")

    def commit(fd: int) -> None:
        seen.append(fd)

    monkeypatch.setattr("postvirt.system.whereabouts.notes", Notes())
    monkeypatch.setattr("postvirt.system.durability.commit", commit)
    monkeypatch.setattr("postvirt.system.durability.commit_file_system", commit)
    errors: list[Errors] = []
    mailboxes = {7: GOOD, 8: None}
    commits.Commits().commit(mailboxes, errors.append, in_background=False)
    assert errors == [{7: None, 8: None}]
    assert seen == [(b"/g/", 2, True), 7, "out", 8]
    seen.clear()
    commits.commit_file_system(9, GOOD)
    assert seen == [(b"/g/", 2, True), 9, "out"]


def test_a_commit_in_the_background_fails_with_its_file_system(
    disks: Disks, background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As xfs, which reports success for what is under way when it shuts down."""
    error = OSError(errno.EIO, "shut down")

    def shut_down(fd: int, data: bytes) -> int:
        assert (fd, data) == (3, b"")
        raise error

    monkeypatch.setattr(os, "write", shut_down)
    told = add(disks, 3, GOOD)
    disks.work(in_background=True)
    background.end(0)
    disks.commits.finish_done()
    assert results(told) == [errno.EIO]
