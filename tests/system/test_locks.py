from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postvirt.system import locks
from postvirt.system.privileges import acting_as
from tests.harness.child import RECIPIENT, Log, as_mail_system, give

# Holds a lock until standard input ends: the classical calls, as other programs make.
_HOLDER = """
import fcntl, sys
file = open(sys.argv[2], "r+b")
getattr(fcntl, sys.argv[1])(file, getattr(fcntl, sys.argv[3]))
print("locked", flush=True)
sys.stdin.read()
"""
# Says whether it could have the lock.
_TRIER = """
import fcntl, sys
file = open(sys.argv[2], "r+b")
try:
    getattr(fcntl, sys.argv[1])(file, getattr(fcntl, sys.argv[3]) | fcntl.LOCK_NB)
except BlockingIOError:
    print("taken")
else:
    print("free")
"""

Lock = Callable[[int], None]
CLASSICAL: dict[Lock, str] = {
    locks.try_fcntl_lock: "lockf",
    locks.try_flock: "flock",
}


@contextmanager
def held_elsewhere(call: str, path: Path, kind: str = "LOCK_EX") -> Iterator[None]:
    command: list[str | Path] = [sys.executable, "-c", _HOLDER, call, path, kind]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        yield
        holder.communicate()


def seen_from_elsewhere(call: str, path: Path, kind: str = "LOCK_EX") -> str:
    command: list[str | Path] = [sys.executable, "-c", _TRIER, call, path, kind]
    return (
        subprocess.run(command, check=True, capture_output=True).stdout.decode().strip()
    )


@pytest.fixture
def mbox(ground: Path) -> Path:
    path = ground / "mbox"
    path.write_bytes(b"mail")
    return path


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        yield fd
    finally:
        os.close(fd)


@pytest.mark.parametrize("lock", CLASSICAL)
def test_a_lock_of_another_process_is_respected(mbox: Path, lock: Lock) -> None:
    with opened(mbox) as fd:
        with held_elsewhere(CLASSICAL[lock], mbox):
            with pytest.raises(BlockingIOError) as caught:
                lock(fd)
            assert caught.value.errno == errno.EAGAIN
        lock(fd)  # it went away


@pytest.mark.parametrize("lock", CLASSICAL)
def test_other_processes_see_the_lock_until_the_file_is_closed(
    mbox: Path, lock: Lock
) -> None:
    with opened(mbox) as fd:
        lock(fd)
        assert seen_from_elsewhere(CLASSICAL[lock], mbox) == "taken"
        assert (
            seen_from_elsewhere(
                CLASSICAL[lock],
                mbox,
                "LOCK_SH" if lock is locks.try_flock else "LOCK_EX",
            )
            == "taken"
        )
    assert seen_from_elsewhere(CLASSICAL[lock], mbox) == "free"


@pytest.mark.parametrize("lock", CLASSICAL)
def test_two_deliveries_of_one_process_exclude_each_other(
    mbox: Path, lock: Lock
) -> None:
    with opened(mbox) as one, opened(mbox) as other:
        lock(one)
        with pytest.raises(BlockingIOError):
            lock(other)


@pytest.mark.parametrize("lock", CLASSICAL)
def test_closing_another_descriptor_of_the_file_keeps_the_lock(
    mbox: Path, lock: Lock
) -> None:
    with opened(mbox) as fd:
        lock(fd)
        with opened(mbox):
            pass
        assert seen_from_elsewhere(CLASSICAL[lock], mbox) == "taken"


def test_an_fcntl_lock_can_be_given_up_before_the_file_is_closed(mbox: Path) -> None:
    with opened(mbox) as fd:
        locks.try_fcntl_lock(fd)
        locks.give_up_fcntl_lock(fd)
        assert seen_from_elsewhere("lockf", mbox) == "free"
        locks.give_up_fcntl_lock(fd)  # there is none any more


def test_the_fcntl_lock_covers_what_is_appended_later(mbox: Path) -> None:
    with opened(mbox) as fd:
        locks.try_fcntl_lock(fd)
        os.write(fd, b"x" * 100_000)
        assert seen_from_elsewhere("lockf", mbox) == "taken"


def test_eacces_from_fcntl_means_taken(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "taken")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with opened(mbox) as fd, pytest.raises(BlockingIOError) as caught:
        locks.try_fcntl_lock(fd)
    assert caught.value.errno == errno.EAGAIN


def test_a_shared_lock_lets_readers_in_and_no_writer(mbox: Path) -> None:
    with opened(mbox) as fd:
        with held_elsewhere("flock", mbox, "LOCK_SH"):
            locks.try_shared_flock(fd)
        assert seen_from_elsewhere("flock", mbox, "LOCK_SH") == "free"
        assert seen_from_elsewhere("flock", mbox, "LOCK_EX") == "taken"
    with (
        opened(mbox) as fd,
        held_elsewhere("flock", mbox, "LOCK_EX"),
        pytest.raises(BlockingIOError),
    ):
        locks.try_shared_flock(fd)


def test_a_dot_lock_is_an_empty_file_without_any_rights(mbox: Path) -> None:
    locks.try_dot_lock(os.fsencode(mbox))
    status = (mbox.parent / "mbox.lock").lstat()
    assert stat.S_IMODE(status.st_mode) == 0
    assert status.st_size == 0
    locks.remove_dot_lock(os.fsencode(mbox))
    assert os.listdir(mbox.parent) == ["mbox"]


def test_a_dot_lock_is_taken_once(mbox: Path) -> None:
    locks.try_dot_lock(os.fsencode(mbox))
    with pytest.raises(FileExistsError):
        locks.try_dot_lock(os.fsencode(mbox))


def test_a_dot_lock_is_not_made_through_a_symbolic_link(mbox: Path) -> None:
    target = mbox.parent / "target"
    (mbox.parent / "mbox.lock").symlink_to(target)
    with pytest.raises(FileExistsError):
        locks.try_dot_lock(os.fsencode(mbox))
    assert not target.is_symlink()
    assert not target.exists()


def test_a_dot_lock_that_is_gone_is_given_back_silently(mbox: Path) -> None:
    locks.remove_dot_lock(os.fsencode(mbox))


def at(monkeypatch: pytest.MonkeyPatch, lock: Path, age_seconds: float) -> None:
    """Make it the moment when the lock is so old, counted in whole seconds."""
    now = int(lock.stat().st_ctime) + age_seconds
    monkeypatch.setattr("time.time", lambda: now)


@pytest.mark.parametrize(("age", "is_there"), [(0, True), (500.9, True), (501, False)])
def test_a_dot_lock_is_stale_when_it_is_older_than_the_limit(
    mbox: Path, monkeypatch: pytest.MonkeyPatch, age: float, is_there: bool
) -> None:
    locks.try_dot_lock(os.fsencode(mbox))
    lock = mbox.parent / "mbox.lock"
    os.utime(lock, (0, 0))  # its mtime, which anybody can set, does not count
    at(monkeypatch, lock, age)
    locks.remove_stale_dot_lock(os.fsencode(mbox), 500)
    assert lock.exists() == is_there


def test_there_may_be_no_dot_lock_to_be_stale(mbox: Path) -> None:
    locks.remove_stale_dot_lock(os.fsencode(mbox), 0)


def test_a_stale_dot_lock_that_goes_away_by_itself_is_no_error(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks.try_dot_lock(os.fsencode(mbox))
    lock = mbox.parent / "mbox.lock"
    now = lock.stat().st_ctime + 501

    def clock() -> float:
        lock.unlink()  # its owner comes back, between the look and the removal
        return now

    monkeypatch.setattr("time.time", clock)
    locks.remove_stale_dot_lock(os.fsencode(mbox), 500)


def test_of_a_stale_symbolic_link_only_the_link_is_removed(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = mbox.parent / "target"
    target.write_bytes(b"precious")
    lock = mbox.parent / "mbox.lock"
    lock.symlink_to(target)
    at(monkeypatch, lock, 501)
    locks.remove_stale_dot_lock(os.fsencode(mbox), 500)
    assert not lock.is_symlink()
    assert target.read_bytes() == b"precious"


@pytest.mark.root
def test_a_stale_dot_lock_that_cannot_be_removed_is_an_error(
    mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks.try_dot_lock(os.fsencode(mbox))
    lock = mbox.parent / "mbox.lock"
    give(lock, RECIPIENT)  # but not the directory that it is in
    at(monkeypatch, lock, 501)

    def work(_: Log) -> None:
        with acting_as(RECIPIENT), pytest.raises(PermissionError):
            locks.remove_stale_dot_lock(os.fsencode(mbox), 500)

    as_mail_system(work)
    assert lock.exists()
