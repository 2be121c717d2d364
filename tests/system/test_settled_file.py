"""A file is read again until it has been left alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from postvirt.system.settled_file import PAUSE_SECONDS, read_settled


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the code has waited, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.mark.parametrize("seconds", [-2, -100, 100])
def test_a_file_that_was_left_alone_is_read_once(
    seconds: int, tmp_path: Path, pauses: list[float]
) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"x" * 100_000)
    now = int(time.time())
    os.utime(path, (now, now + seconds))
    assert read_settled(bytes(path)) == b"x" * 100_000
    assert pauses == []


def test_a_file_that_is_replaced_meanwhile_is_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = tmp_path / "text", tmp_path / "other"
    path.write_bytes(b"half")
    pauses: list[float] = []

    def replace_it(seconds: float) -> None:
        pauses.append(seconds)
        other.write_bytes(b"whole")
        os.utime(other, (1, 1))
        other.rename(path)

    monkeypatch.setattr(time, "sleep", replace_it)
    assert read_settled(bytes(path)) == b"whole"
    assert pauses == [PAUSE_SECONDS]


def test_a_directory_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_settled(bytes(tmp_path))
