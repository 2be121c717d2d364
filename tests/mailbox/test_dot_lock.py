from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from postvirt.mailbox.dot_lock import DotLock, LostDotLockError
from tests.harness.child import open_descriptors


@pytest.fixture
def mbox(tmp_path: Path) -> Path:
    path = tmp_path / "mbox"
    path.touch()
    return path


def taken(mbox: Path) -> DotLock:
    lock = DotLock(os.fsencode(mbox))
    lock.take()
    assert os.listdir(mbox.parent).count("mbox.lock") == 1
    return lock


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is no longer certain that the lock is still there."""
    moment = time.monotonic() + 1
    monkeypatch.setattr("time.monotonic", lambda: moment)


@pytest.mark.parametrize("held_up", [False, True])
def test_a_lock_is_given_up_once(
    mbox: Path, monkeypatch: pytest.MonkeyPatch, held_up: bool
) -> None:
    before = open_descriptors()
    lock = taken(mbox)
    assert lock.is_taken
    if held_up:
        later(monkeypatch)
        lock.check()
    lock.give_up()
    assert not lock.is_taken
    assert open_descriptors() == before
    assert os.listdir(mbox.parent) == ["mbox"]
    others = taken(mbox)
    lock.give_up()
    assert os.listdir(mbox.parent).count("mbox.lock") == 1
    others.give_up()


@pytest.mark.parametrize("is_there", [False, True], ids=["gone", "replaced"])
def test_a_lock_that_others_have_removed_is_lost(
    mbox: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    before = open_descriptors()
    lock = taken(mbox)
    path = mbox.with_name("mbox.lock")
    path.unlink()
    if is_there:
        path.touch()  # without the first one's descriptor it may have its inode number
    later(monkeypatch)
    with pytest.raises(LostDotLockError) as error:
        lock.check()
    assert error.value.dsn.status == "4.2.0"
    reason = f"lock file {path} was removed by another process"
    assert error.value.dsn.reason == reason
    with pytest.raises(LostDotLockError):
        lock.give_up()
    assert path.exists() == is_there
    assert open_descriptors() == before


def test_a_lock_that_is_renamed_is_lost(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = taken(mbox)
    path = mbox.with_name("mbox.lock")
    path.rename(mbox.with_name("mine"))
    path.touch()
    later(monkeypatch)
    with pytest.raises(LostDotLockError):
        lock.give_up()
    assert path.exists()


def test_a_lock_is_not_looked_at_for_a_second(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That costs nothing, and again nothing once it has been seen."""
    asked = []
    stat = os.stat

    def count(path: bytes) -> os.stat_result:
        asked.append(path)
        return stat(path)

    lock = taken(mbox)
    monkeypatch.setattr(os, "stat", count)
    lock.check()
    assert asked == []
    later(monkeypatch)
    for _ in range(2):
        lock.check()
    assert asked == [os.fsencode(mbox.with_name("mbox.lock"))]
    lock.give_up()


def test_beside_a_device_there_is_no_lock_to_lose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock = DotLock(b"/dev/null")
    lock.take()
    assert not lock.is_taken
    later(monkeypatch)
    lock.check()
    lock.give_up()


def test_a_lock_that_is_forgotten_stays(mbox: Path) -> None:
    before = open_descriptors()
    lock = taken(mbox)
    lock.forget()
    assert not lock.is_taken
    assert open_descriptors() == before
    lock.give_up()
    assert mbox.with_name("mbox.lock").exists()
