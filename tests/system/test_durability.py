from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postvirt.system import durability


@pytest.fixture
def pipe() -> Iterator[int]:
    """A descriptor that the kernel cannot sync: EINVAL."""
    reads, writes = os.pipe()
    yield writes
    os.close(reads)
    os.close(writes)


class Disk:
    """fsync() that records what it was asked for and fails for some descriptors."""

    def __init__(self, failures: dict[int, int]) -> None:
        self.failures = failures
        self.asked: list[int] = []

    def __call__(self, fd: int) -> None:
        self.asked.append(fd)
        if fd in self.failures:
            raise OSError(self.failures[fd], os.strerror(self.failures[fd]))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, int]], Disk]:
    def replace(failures: dict[int, int]) -> Disk:
        made = Disk(failures)
        monkeypatch.setattr(os, "fsync", made)
        return made

    return replace


def test_files_and_directories_of_a_real_file_system_can_be_committed(
    ground: Path,
) -> None:
    with open(ground / "file", "wb", buffering=0) as file:
        file.write(b"mail")
        directory = os.open(ground, os.O_RDONLY)
        durability.commit_file(file.fileno())
        durability.commit_directories((directory,))
        os.close(directory)


def test_a_file_that_cannot_be_synced_is_an_error(pipe: int) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        durability.commit_file(pipe)


def test_a_file_system_without_directory_sync_is_taken_at_its_word(pipe: int) -> None:
    durability.commit_directories((pipe,))


def test_the_directories_behind_such_a_one_are_synced_all_the_same(
    disk: Callable[[dict[int, int]], Disk],
) -> None:
    disk_ = disk({7: errno.EINVAL, 8: errno.EOPNOTSUPP})
    durability.commit_directories((7, 8, 9))
    assert disk_.asked == [7, 8, 9]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EBADF])
def test_a_failed_sync_is_reported_and_never_tried_again(
    disk: Callable[[dict[int, int]], Disk], number: int
) -> None:
    disk_ = disk({7: number})
    with pytest.raises(OSError, match=os.strerror(number)):
        durability.commit_file(7)
    assert disk_.asked == [7]
    with pytest.raises(OSError, match=os.strerror(number)):
        durability.commit_directories((7,))
    assert disk_.asked == [7, 7]


def test_the_last_resort_syncs_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(os, "sync", lambda: calls.append("sync"))
    durability.commit_everything()
    assert calls == ["sync"]
