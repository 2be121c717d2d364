"""See tests/faults/test_other_hosts.py for what it is good for."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from postvirt.system import remote_files
from postvirt.system.fresh_status import fresh_status


@pytest.fixture
def fd() -> Iterator[int]:
    """A file that is on no block device."""
    fd = os.memfd_create("file")
    yield fd
    os.close(fd)


@pytest.fixture
def committed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    fds: list[int] = []
    monkeypatch.setattr(os, "fsync", fds.append)
    return fds


def test_a_file_of_this_machine_is_not_committed(fd: int, committed: list[int]) -> None:
    os.write(fd, b"text")
    assert fresh_status(fd).st_size == 4
    assert committed == []


def test_one_that_may_be_another_machines_is(
    fd: int, committed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_files, "_fstatfs", lambda *_: -1)
    assert fresh_status(fd).st_size == 0
    assert committed == [fd]


def test_one_on_a_block_device_is_not(
    fd: int, committed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the file system is."""
    monkeypatch.setattr(remote_files, "_fstatfs", lambda *_: -1)
    monkeypatch.setattr(os, "major", lambda _: 8)
    fresh_status(fd)
    assert committed == []


def test_an_error_of_the_commit_is_one_of_the_status(
    fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(5, "no server")

    monkeypatch.setattr(remote_files, "_fstatfs", lambda *_: -1)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no server"):
        fresh_status(fd)
