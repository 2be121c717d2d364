"""A control group with a limit of memory, for processes of a test.

With version 1 of control groups it is below that of the test process, with version 2
below the root, where processes and limits go together.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postvirt.system.mounts import MOUNTINFO, Mount, parse

_PATIENCE_SECONDS = 20.0


class MemoryGroup:
    """The group; processes that one of its processes starts are in it, too."""

    def __init__(self, path: Path, *, limit: str, events: str) -> None:
        self.path = path
        self._limit = limit
        self._events = events

    def limit(self, size_bytes: int) -> None:
        """Let its processes have so much memory together."""
        (self.path / self._limit).write_text(f"{size_bytes}\n")

    def take(self, pid: int) -> None:
        """Put a process into the group."""
        (self.path / "cgroup.procs").write_text(f"{pid}\n")

    def anonymous_bytes(self) -> int:
        """The memory that its processes use now and that no file backs."""
        stat = (self.path / "memory.stat").read_text()
        found = re.search(r"(?m)^(?:total_rss|anon) (\d+)", stat)
        assert found is not None
        return int(found[1])

    def wait_for_memory(self, *, waits: bool) -> None:
        """Let processes wait where they would be killed; version 1 alone has that."""
        control = self.path / "memory.oom_control"
        if not control.exists():
            pytest.skip("this version of control groups lets no process wait")
        control.write_text(f"{waits:d}\n")

    def kills(self) -> int:
        """How many processes the kernel has killed to stay below the limit."""
        events = (self.path / self._events).read_text()
        return sum(map(int, re.findall(r"(?m)^oom_kill (\d+)", events)))


@contextmanager
def memory_group() -> Iterator[MemoryGroup]:
    """A group without a limit; its processes have to end with the block."""
    group = _group()
    group.path.mkdir()
    try:
        yield group
    finally:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                group.path.rmdir()
                break
            except OSError:  # a process is about to end
                assert time.monotonic() < give_up
                time.sleep(0.01)


def _group() -> MemoryGroup:
    name = f"postvirt-test-{os.getpid()}"
    mounts = parse(Path(MOUNTINFO).read_bytes())
    for mount in mounts:
        if mount.type == "cgroup" and "memory" in mount.options:
            path = Path(mount.point, _own_group(":memory:").lstrip("/"), name)
            limit, events = "memory.limit_in_bytes", "memory.oom_control"
            return MemoryGroup(path, limit=limit, events=events)
        if _has_memory(mount):
            path = Path(mount.point, name)
            return MemoryGroup(path, limit="memory.max", events="memory.events")
    pytest.skip("no control group can limit memory here")


def _has_memory(mount: Mount) -> bool:
    if mount.type != "cgroup2":
        return False
    controllers = Path(mount.point, "cgroup.subtree_control").read_text()
    return "memory" in controllers.split()


def _own_group(kind: str) -> str:
    groups = Path("/proc/self/cgroup").read_text().splitlines()
    return next(one.partition(kind)[2] for one in groups if kind in one)
