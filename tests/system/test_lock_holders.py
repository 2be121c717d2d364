"""The process that holds a lock, as the kernel names it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.system.lock_holders import Holder, fcntl_holder, flock_holder

# Holds a lock until standard input ends.
_HOLDER = """
import fcntl, sys
file = open(sys.argv[2], "r+b")
getattr(fcntl, sys.argv[1])(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""

FindHolder = Callable[[int], Holder | None]


@pytest.mark.parametrize(
    ("call", "find", "other"),
    [("lockf", fcntl_holder, flock_holder), ("flock", flock_holder, fcntl_holder)],
)
def test_the_process_that_holds_a_lock(
    tmp_path: Path, call: str, find: FindHolder, other: FindHolder
) -> None:
    path = tmp_path / "mbox"
    path.touch()
    with path.open("rb") as file:
        assert find(file.fileno()) is None
        with subprocess.Popen(
            [sys.executable, "-c", _HOLDER, call, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"locked\n"
            holder = find(file.fileno())
            assert holder == Holder(process.pid)
            assert str(holder).startswith(f"process {process.pid} (python")
            assert other(file.fileno()) is None
            process.communicate()
        assert find(file.fileno()) is None


@pytest.mark.parametrize("pid", [-1, 0])
def test_a_holder_without_a_process_id(pid: int) -> None:
    assert str(Holder(pid)) == "an unknown process"


def test_a_process_that_has_ended_has_no_name() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert str(Holder(process.pid)) == f"process {process.pid}"
