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

from postvirt.server.table_watch.watcher_process import names_on_the_way
from tests.harness.child import STRANGER, in_child, public_directory
from tests.harness.file_systems import leave_the_mounts_of_the_others
from tests.harness.remote_directory import mount_remote
from tests.harness.user_namespace import lower_limits
from tests.power_cut.devices import unmount


class Watcher:
    def __init__(self) -> None:
        identity = (str(STRANGER.uid), str(STRANGER.gid))
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "postvirt.server.table_watch.watcher_process",
                *identity,
            ],
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


# What follows happens in a child, with mounts and limits of its own.


def limited(limit: str, value: int) -> tuple[list[list[str]], dict[str, Any]]:
    """What is polled with this limit, and what is said when the table changes."""
    with public_directory() as place:
        lower_limits(**{limit: value})
        table = place / "closed" / "table"
        table.parent.mkdir()
        watcher = Watcher()
        said = watcher.watch(table)["polled"]
        table.write_text("a")
        changed = watcher.says()
        assert watcher.end() == 0
        inside = [[os.path.relpath(path, place), why] for path, why in said]
        return [one for one in inside if not one[0].startswith("..")], changed


@pytest.mark.root
def test_where_there_are_too_many_watches_it_polls() -> None:
    found, changed = in_child(lambda: limited("max_inotify_watches", 1))
    why = "fs.inotify.max_user_watches is reached"
    assert {reason for _, reason in found} == {why}
    assert changed == CHANGED


@pytest.mark.root
def test_where_there_are_too_many_watchers_it_polls() -> None:
    found, changed = in_child(lambda: limited("max_inotify_instances", 0))
    why = "fs.inotify.max_user_instances is reached"
    assert sorted(found) == [[".", why], ["closed", why]]
    assert changed == CHANGED


def on_another_machine(*, is_mounted_first: bool) -> list[dict[str, Any]]:
    """What is said of a file that is there, then changed, then not there any more."""
    with public_directory() as place:
        leave_the_mounts_of_the_others()
        there, here = place / "there", place / "here"
        there.mkdir()
        here.mkdir()
        (there / "table").write_text("a")
        if is_mounted_first:
            mount_remote(there, here)
        watcher = Watcher()
        said = [watcher.watch(here / "table")]
        if not is_mounted_first:
            mount_remote(there, here)
            said += both(watcher)
        else:
            said.append(watcher.says())
        (there / "table").write_text("more")
        said.append(watcher.says())
        unmount(here, lazily=True)
        said += both(watcher)
        assert watcher.end() == 0
        for one in said:
            for directory in one.get("polled", ()):
                directory[0] = os.path.relpath(directory[0], here)
        return said


def both(watcher: Watcher) -> list[dict[str, Any]]:
    """The state and a change, whichever is seen first."""
    return sorted((watcher.says() for _ in range(2)), key=lambda one: "changed" in one)


def polled(*directories: list[str]) -> dict[str, Any]:
    return {"state": "watching", "polled": [*directories]}


@pytest.mark.root
@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="needs /dev/fuse")
def test_files_that_another_machine_changes_are_polled() -> None:
    said = in_child(lambda: on_another_machine(is_mounted_first=True))
    assert said == [polled([".", "fuse"]), CHANGED, CHANGED, polled(), CHANGED]


@pytest.mark.root
@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="needs /dev/fuse")
def test_a_file_system_that_is_mounted_later_is_noticed() -> None:
    said = in_child(lambda: on_another_machine(is_mounted_first=False))
    assert said == [
        *(polled(), polled([".", "fuse"]), CHANGED),
        *(CHANGED, polled(), CHANGED),
    ]


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
