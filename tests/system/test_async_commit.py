from __future__ import annotations

import errno
import os
import select
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from postvirt.system import async_commit
from postvirt.system.async_commit import AsyncCommits


@pytest.fixture
def file(ground: Path) -> Iterator[int]:
    with tempfile.TemporaryFile(dir=ground) as made:
        made.write(b"mail")
        made.flush()
        yield made.fileno()


def take(commits: AsyncCommits, count: int) -> list[tuple[int, int]]:
    """What ends next, as soon as it is so many."""
    ended: list[tuple[int, int]] = []
    poll = select.poll()
    poll.register(commits.fileno(), select.POLLIN)
    while len(ended) < count:
        assert poll.poll(20_000), "no commit ends"
        ended += commits.done()
    # One that ends just between two calls is told of once more, with nothing to take.
    assert commits.done() == []
    return sorted(ended)


def test_a_file_and_its_directory(ground: Path, file: int) -> None:
    commits = AsyncCommits()
    directory = os.open(ground, os.O_RDONLY)
    assert commits.submit(file, 7)
    assert commits.submit(directory, 8)
    os.close(directory)  # the kernel has its own hold on it
    assert take(commits, 2) == [(7, 0), (8, 0)]


def test_so_many_at_once_and_no_more(file: int) -> None:
    commits = AsyncCommits()
    count = 0
    while commits.submit(file, count):
        count += 1
    assert count == async_commit._MOST
    assert take(commits, count) == [(number, 0) for number in range(count)]
    assert commits.submit(file, 1)
    assert take(commits, 1) == [(1, 0)]


def test_what_cannot_be_committed_is_not_taken(file: int) -> None:
    commits = AsyncCommits()
    reads, writes = os.pipe()
    for fd in (writes, 1_000_000):
        assert not commits.submit(fd, 1)
    os.close(reads)
    os.close(writes)
    # No place is lost by that.
    for number in range(async_commit._MOST):
        assert commits.submit(file, number)
    assert len(take(commits, async_commit._MOST)) == async_commit._MOST


def test_a_failure_has_its_number(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel gives it as a negative result."""
    commits = AsyncCommits()
    assert commits.submit(file, 5)
    poll = select.poll()
    poll.register(commits.fileno(), select.POLLIN)
    assert poll.poll(20_000)
    real = async_commit._syscall

    def fail(*arguments: object) -> int:
        count: int = real(*arguments)
        data, iocb, result, more = async_commit._EVENT.unpack_from(commits._events, 0)
        assert result == 0
        async_commit._EVENT.pack_into(commits._events, 0, data, iocb, -5, more)
        return count

    monkeypatch.setattr(async_commit, "_syscall", fail)
    assert commits.done() == [(5, 5)]


@pytest.mark.parametrize("has_calls", [True, False])
def test_where_the_kernel_does_not_do_it_nothing_is_taken(
    monkeypatch: pytest.MonkeyPatch, file: int, has_calls: bool
) -> None:
    if has_calls:  # but it grants no more of them
        monkeypatch.setattr(async_commit, "_syscall", lambda *_: -1)
    else:
        monkeypatch.setattr(async_commit, "_NUMBERS", None)
    commits = AsyncCommits()
    assert (commits.fileno() == -1) == (not has_calls)
    assert not commits.submit(file, 1)
    assert not commits.submit(file, 2)


def test_commits_whose_results_cannot_be_fetched_are_asked_for_again(
    file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is raised, and no delivery waits for ever."""
    commits = AsyncCommits()
    assert commits.submit(file, 5)
    poll = select.poll()
    poll.register(commits.fileno(), select.POLLIN)
    assert poll.poll(20_000)
    with monkeypatch.context() as patched:
        patched.setattr(async_commit, "_syscall", lambda *_: -1)
        assert commits.done() == []
    assert take(commits, 1) == [(5, 0)]


def test_a_wake_up_that_cannot_be_read_is_one(
    file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    commits = AsyncCommits()
    assert commits.submit(file, 5)
    poll = select.poll()
    poll.register(commits.fileno(), select.POLLIN)
    assert poll.poll(20_000)
    monkeypatch.setattr(os, "eventfd_read", fail)
    assert commits.done() == [(5, 0)]
