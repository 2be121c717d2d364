"""The locks that show that a service runs, against strangers and older versions."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postvirt.server.service.pid_file import AlreadyRunningError, PidFile
from tests.harness.child import STRANGER, in_child, public_directory


@pytest.fixture
def directory() -> Iterator[Path]:
    with public_directory() as found:
        yield found


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def start(directory: Path) -> str:
    """Start a service that ends at once; who runs already, "" if nobody does."""

    def story() -> str:
        try:
            PidFile(str(directory / "mine")).close()
        except AlreadyRunningError as error:
            return f"already running: {error}"
        return ""

    return in_child(story)


@contextmanager
def another_process(work: Callable[[], object]) -> Iterator[int]:
    """A process that has done this, and keeps what it has locked meanwhile."""
    reads, writes = os.pipe()
    ended, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end)
        try:
            work()
            os.write(writes, b"done")
            os.read(ended, 1)
        finally:
            os._exit(0)
    os.close(writes)
    os.close(ended)
    with open(reads, "rb") as report:
        done = report.read(4)
    try:
        assert done == b"done"
        yield pid
    finally:
        os.close(end)
        os.waitpid(pid, 0)


def lock_what_strangers_can(directory: Path) -> None:
    os.setgroups([])
    os.setresgid(*[STRANGER.gid] * 3)
    os.setresuid(*[STRANGER.uid] * 3)
    for path in files(directory):
        try:
            fd = os.open(path, os.O_RDONLY)
        except PermissionError:
            continue
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def be_an_older_version(directory: Path) -> None:
    fd = os.open(directory / "mine.pid", os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(fd, b"%d\n" % os.getpid())


@pytest.mark.root
def test_strangers_cannot_keep_it_from_starting(directory: Path) -> None:
    assert start(directory) == ""
    assert len(files(directory)) == 2
    with another_process(lambda: lock_what_strangers_can(directory)):
        assert start(directory) == ""


@pytest.mark.root
def test_strangers_cannot_make_two_of_it(directory: Path) -> None:
    """Nor while it runs."""
    with another_process(lambda: PidFile(str(directory / "mine"))) as pid:
        before = start(directory)
        with another_process(lambda: lock_what_strangers_can(directory)):
            assert start(directory) == before == f"already running: {pid}"


def test_it_ends_with_the_process(directory: Path) -> None:
    with another_process(lambda: PidFile(str(directory / "mine"))) as pid:
        assert start(directory) == f"already running: {pid}"
    assert (directory / "mine.pid").read_text() == f"{pid}\n"
    assert start(directory) == ""
    assert (directory / "mine.pid").read_text() == ""


def test_an_older_version_that_runs_is_noticed(directory: Path) -> None:
    with another_process(lambda: be_an_older_version(directory)) as pid:
        assert start(directory) == f"already running: {pid}"


def test_an_older_version_notices_this_one(directory: Path) -> None:
    with (
        another_process(lambda: PidFile(str(directory / "mine"))),
        pytest.raises(pytest.fail.Exception, match="BlockingIOError"),
    ):
        in_child(lambda: be_an_older_version(directory))


def test_users_can_read_the_process_id_and_no_more(directory: Path) -> None:
    before = os.umask(0o077)
    try:
        start(directory)
    finally:
        os.umask(before)
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in files(directory)}
    assert modes == {"mine.lock": 0o600, "mine.pid": 0o644}
