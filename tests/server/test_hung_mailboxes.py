"""Which mail has to wait while workers hang."""

from __future__ import annotations

import os
import time

import pytest

from postvirt.server.hung_mailboxes import MOST_HUNG, HungMailboxes
from postvirt.server.metrics.scoreboard import MOST_PATH_BYTES, Inside
from postvirt.system import mounts
from postvirt.system.mounts import Mount
from tests.harness.child import in_child

WORKER = 1  # not this process


@pytest.fixture(autouse=True)
def three_file_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """/, /home and /mail, which is a file server's."""
    found = [
        Mount(1, 1, "/", "ext4", "/dev/a", frozenset()),
        Mount(3, 3, "/home", "ext4", "/dev/b", frozenset()),
        Mount(2, 2, "/mail", "nfs4", "server:/mail", frozenset()),
    ]
    monkeypatch.setattr(mounts, "mounted", lambda: found)


def at(path: str, uid: int = 1) -> Inside:
    return Inside(path.encode(), uid, time.monotonic() - 7, False)


def must_wait(hung: HungMailboxes, path: str, uid: int = 1) -> bool:
    return hung.seconds(path.encode(), uid) is not None


def test_as_a_rule_nothing_waits() -> None:
    assert not must_wait(HungMailboxes(), "/mail/a/")


def test_mail_for_the_mailbox_waits_until_it_does_not_hang_any_more() -> None:
    hung = HungMailboxes()
    number = hung.add(at("/mail/a/"), WORKER)
    seconds = hung.seconds(b"/mail/a/", 1)
    assert seconds is not None
    assert 7 <= seconds < 60
    assert not must_wait(hung, "/mail/b/")
    assert not must_wait(hung, "/mail/a/", uid=2)
    assert len(hung) == 1
    assert number is not None
    hung.remove(number)
    assert not must_wait(hung, "/mail/a/")
    assert len(hung) == 0


def test_all_processes_see_it() -> None:
    hung = HungMailboxes()
    in_child(lambda: hung.add(at("/mail/a/"), WORKER))
    assert must_wait(hung, "/mail/a/")


def test_a_worker_does_not_wait_for_itself() -> None:
    """It has come back, which the watchdog process has not seen yet."""
    hung = HungMailboxes()
    hung.add(at("/mail/a/"), os.getpid())
    assert not must_wait(hung, "/mail/a/")
    assert in_child(lambda: must_wait(hung, "/mail/a/"))


def test_of_a_second_one_all_mail_of_the_owner_there_waits() -> None:
    hung = HungMailboxes()
    hung.add(at("/mail/a/"), WORKER)
    number = hung.add(at("/mail/b/"), WORKER)
    assert must_wait(hung, "/mail/c/")
    assert not must_wait(hung, "/mail/c/", uid=2)
    assert not must_wait(hung, "/home/c/")  # another file system
    assert not must_wait(hung, "/mailing/c/")
    assert number is not None
    hung.remove(number)
    assert not must_wait(hung, "/mail/c/")
    assert must_wait(hung, "/mail/a/")


@pytest.mark.parametrize(("mount", "owners"), [("/home", 8), ("/mail", 3)])
def test_of_many_owners_all_mail_there_waits(mount: str, owners: int) -> None:
    """It is the disk or the file server that hangs."""
    hung = HungMailboxes()
    for uid in range(1, owners):
        hung.add(at(f"{mount}/{uid}/", uid), WORKER)
    assert not must_wait(hung, f"{mount}/x/", uid=99)
    hung.add(at(f"{mount}/{owners}/", owners), WORKER)
    assert must_wait(hung, f"{mount}/x/", uid=99)
    assert not must_wait(hung, "/elsewhere/x/", uid=99)


def test_a_worker_that_hangs_elsewhere_keeps_no_mail_waiting() -> None:
    hung = HungMailboxes()
    hung.add(None, WORKER)
    assert len(hung) == 1
    assert not must_wait(hung, "/mail/a/")


def test_a_path_that_is_too_long_is_known_by_its_beginning() -> None:
    hung = HungMailboxes()
    path = "/mail/" + "x" * 5000
    hung.add(Inside(path.encode()[:MOST_PATH_BYTES], 1, 1.0, False), WORKER)
    assert must_wait(hung, path)


def test_more_than_there_is_room_for_are_not_noted() -> None:
    hung = HungMailboxes()
    for number in range(MOST_HUNG):
        assert hung.add(at(f"/{number}", number), WORKER) == number
    assert hung.add(at("/more", 99), WORKER) is None
    assert len(hung) == MOST_HUNG
