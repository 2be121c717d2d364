"""A file that is open is opened once more, for reading."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postvirt.system import reopening
from postvirt.system.reopening import open_again
from tests.harness.child import in_child
from tests.harness.file_systems import leave_proc


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mbox"
    path.write_bytes(b"mail")
    return path


def read(fd: int, path: Path) -> bytes:
    again = open_again(fd, bytes(path), os.O_NOATIME)
    try:
        return os.read(again, 100)
    finally:
        os.close(again)


def test_whatever_has_become_of_its_name(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY)
    path.unlink()
    assert read(fd, path) == b"mail"
    os.close(fd)


@pytest.mark.root
@pytest.mark.parametrize("now", ["itself", "link", "copy", "fifo", "nothing"])
def test_without_proc_only_by_its_name(path: Path, now: str) -> None:
    """No other file is opened, and so none is read and nothing blocks."""

    def work() -> tuple[bytes, list[str]]:
        leave_proc()
        fd = os.open(path, os.O_WRONLY)
        other = path.with_name("other")
        if now != "itself":
            path.rename(other)
        if now == "link":
            path.symlink_to(other)
        elif now == "copy":
            path.write_bytes(b"mail")
        elif now == "fifo":
            os.mkfifo(path)
        opened: list[str] = []
        genuine = os.open

        def note(name: bytes, flags: int) -> int:
            opened.append(os.fsdecode(name))
            return genuine(name, flags)

        reopening.os.open = note  # type: ignore[attr-defined]
        try:
            return read(fd, path), opened
        except FileNotFoundError:
            return b"", opened[1:]

    if now in ("itself", "link"):
        content, opened = in_child(work)
        assert (content, opened[1:]) == (b"mail", [str(path)])
    else:
        assert in_child(work) == (b"", [])


@pytest.mark.root
def test_a_name_that_changes_meanwhile(path: Path) -> None:
    """Between the look at the name and the opening, somebody replaces the file."""

    def work() -> bytes:
        leave_proc()
        fd = os.open(path, os.O_WRONLY)
        genuine = os.stat

        def replace(name: bytes) -> os.stat_result:
            status = genuine(name)
            path.unlink()
            path.write_bytes(b"secret")
            return status

        reopening.os.stat = replace  # type: ignore[attr-defined]
        return read(fd, path)

    with pytest.raises(pytest.fail.Exception, match="FileNotFoundError"):
        in_child(work)
