"""The watcher as a process; tests/cli/test_service.py has it at work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postvirt.server.watcher import names_on_the_way
from tests.harness.child import STRANGER, public_directory


class Watcher:
    def __init__(self) -> None:
        identity = (str(STRANGER.uid), str(STRANGER.gid))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "postvirt.server.watcher", *identity],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def watch(self, path: Path) -> dict[str, Any]:
        """Watch a file, of which no version is known; what it says to that."""
        wanted = {
            "tables": {"a:b": [str(path)]},
            "live": [],
            "versions": {str(path): None},
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(wanted).encode() + b"\n")
        self._process.stdin.flush()
        return self.says()

    def says(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said

    def end(self) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        status = self._process.wait(20)
        self._process.stdout.close()
        return status


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    made = Watcher()
    yield made
    assert made.end() == 0


@pytest.fixture
def place() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory


CHANGED = {"changed": ["a:b"]}


def test_what_has_changed_before_is_told(watcher: Watcher, place: Path) -> None:
    (place / "table").write_text("a")
    assert watcher.watch(place / "table") == {"state": "watching", "polled": []}
    assert watcher.says() == CHANGED


def test_a_directory_that_is_replaced(watcher: Watcher, place: Path) -> None:
    table = place / "tables" / "table"
    watcher.watch(table)
    for number in range(3):
        table.parent.mkdir()
        table.write_text("a")
        assert watcher.says() == CHANGED
        table.write_text("more")
        assert watcher.says() == CHANGED
        table.parent.rename(place / f"old{number}")
        assert watcher.says() == CHANGED


@pytest.mark.root
def test_a_directory_that_it_may_not_read_is_polled(
    watcher: Watcher, place: Path
) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o711)
    assert watcher.watch(closed / "table") == {
        "state": "watching",
        "polled": [[str(closed), "Permission denied"]],
    }
    (closed / "table").write_text("a")
    assert watcher.says() == CHANGED


def test_names_on_the_way(place: Path) -> None:
    (place / "v1").mkdir()
    (place / "current").symlink_to("v1")
    (place / "v1" / "table").symlink_to("../v1/./real")
    names = list(names_on_the_way(str(place / "current" / "table")))
    at = names.index(str(place))
    assert [os.path.relpath(name, place) for name in names[at + 1 :]] == [
        "current",
        "v1",
        "v1/table",
        "v1",
        "v1/real",
    ]
    (place / "loop").symlink_to("loop")
    assert len(list(names_on_the_way(str(place / "loop")))) < 100
