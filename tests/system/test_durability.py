from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from postvirt.system import durability
from tests.harness.child import in_child
from tests.harness.file_systems import formatted, mounted


@pytest.fixture
def pipe() -> Iterator[int]:
    """A descriptor that the kernel can neither write out nor sync."""
    reads, writes = os.pipe()
    yield writes
    os.close(reads)
    os.close(writes)


@pytest.fixture
def files(ground: Path) -> Iterator[list[int]]:
    """Open files with something in them."""
    fds = []
    for name in "abc":
        fd = os.open(ground / name, os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"mail")
        fds.append(fd)
    yield fds
    for fd in fds:
        os.close(fd)


def number(error: OSError | None) -> int:
    return error.errno or -1 if error else 0


def test_files_are_written_out(files: list[int]) -> None:
    assert durability.write_out(files) == [None] * 3
    assert durability.write_out(files[:1]) == [None]
    assert durability.write_out([]) == []


def test_each_file_that_cannot_be_written_out_has_its_own_error(
    files: list[int], pipe: int
) -> None:
    errors = durability.write_out([files[0], pipe, files[1], -1])
    assert [number(error) for error in errors] == [0, errno.ESPIPE, 0, errno.EBADF]
    (error,) = durability.write_out([pipe])
    assert str(error) == f"[Errno {errno.ESPIPE}] Illegal seek"


def test_a_file_that_cannot_even_begin_to_be_written_out_is_an_error(
    files: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the wait for it says: the kernel may have dropped the data by then."""
    sync_file_range = durability._sync_file_range

    def fail(fd: int, offset: int, size: int, flags: int) -> int:
        if fd == files[1] and flags == durability._WRITE:
            ctypes.set_errno(errno.EIO)
            return -1
        done: int = sync_file_range(fd, offset, size, flags)
        return done

    monkeypatch.setattr(durability, "_sync_file_range", fail)
    errors = durability.write_out(files)
    assert [number(error) for error in errors] == [0, errno.EIO, 0]


def test_a_file_and_its_directory_are_committed(ground: Path, files: list[int]) -> None:
    assert durability.commit(files[0]) is None
    directory = os.open(ground, os.O_RDONLY)
    assert durability.commit(directory) is None
    os.close(directory)


def test_a_file_that_cannot_be_committed_is_an_error(pipe: int) -> None:
    assert number(durability.commit(pipe)) == errno.EINVAL


@pytest.mark.parametrize("failure", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_failed_commit_is_never_tried_again(
    monkeypatch: pytest.MonkeyPatch, failure: int
) -> None:
    asked = []

    def fail(fd: int) -> None:
        asked.append(fd)
        raise OSError(failure, os.strerror(failure))

    monkeypatch.setattr(os, "fsync", fail)
    assert number(durability.commit(7)) == failure
    assert asked == [7]


def test_an_errno_of_zero_is_no_error() -> None:
    assert durability.error_of(0) is None
    assert number(durability.error_of(errno.EIO)) == errno.EIO


def test_file_systems_that_cannot_commit_a_directory_say_so() -> None:
    for failure in (errno.EINVAL, errno.EOPNOTSUPP):
        assert durability.is_unsupported(durability.error_of(failure))
    for failure in (0, errno.EIO, errno.EBADF):
        assert not durability.is_unsupported(durability.error_of(failure))


def test_a_whole_file_system_is_committed_through_a_file_on_it(
    monkeypatch: pytest.MonkeyPatch, files: list[int]
) -> None:
    """And no other: one that hangs must not hold up this one."""
    monkeypatch.setattr(os, "sync", pytest.fail)
    assert durability.commit_file_system(files[0]) is None
    assert number(durability.commit_file_system(-1)) == errno.EBADF


@pytest.mark.root
@pytest.mark.parametrize("make", ["mkfs.xfs -q -f -K", "mkfs.ext4 -q -F"])
def test_a_file_system_that_has_shut_down_commits_nothing(
    ground: Path, make: str
) -> None:
    """It may report success for what was under way; that cannot be timed here."""

    def work() -> list[int]:
        mount = formatted(*make.split(), size_bytes=320 << 20)
        found = []
        with mounted(mount, ground):
            fd = os.open(ground / "file", os.O_CREAT | os.O_WRONLY)
            for command in ("true", "xfs_io -x -c shutdown"):
                subprocess.run([*command.split(), ground], check=True)
                found.append(number(durability.shutdown_of(fd)))
            os.close(fd)
        return found

    assert in_child(work) == [0, errno.EIO]


def test_success_before_a_shutdown_is_noticed_is_none(
    files: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "shut down")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", refuse)
        errors = [
            commit(files[0])
            for commit in (durability.commit, durability.commit_file_system)
        ]
    assert list(map(number, errors)) == [errno.EIO] * 2
