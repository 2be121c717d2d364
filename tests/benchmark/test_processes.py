"""CPU time and memory of a tree of processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.benchmark import processes

_BUSY = "import time\nwhile time.process_time() < 0.3: pass\n"
_THEN_WAIT = "import sys\nprint(flush=True)\nsys.stdin.read()\n"
_GRANDCHILD = (
    f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {_BUSY!r}])\n"
)


@contextmanager
def running(program: str) -> Iterator[subprocess.Popen[bytes]]:
    """A child that has done its work and waits."""
    with subprocess.Popen(
        [sys.executable, "-c", program + _THEN_WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.stdin.close()


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(_BUSY, id="a-child"),
        pytest.param(_GRANDCHILD, id="a-grandchild-that-has-ended"),
    ],
)
def test_work_is_counted_while_and_after_a_child_runs(program: str) -> None:
    before = processes.cpu_seconds()
    with running(program) as process:
        assert process.pid in processes.descendants()
        while_running = processes.cpu_seconds() - before
    afterwards = processes.cpu_seconds() - before
    # Starting Python takes some time too.
    assert 0.29 < while_running <= afterwards + 0.02
    assert afterwards < while_running + 0.2


def test_memory_is_that_of_all_descendants() -> None:
    before = processes.memory_bytes()
    with running("memory = b'x' * 50_000_000\n"):
        assert 50_000_000 < processes.memory_bytes() - before < 100_000_000


def test_it_is_nobodys_own_work() -> None:
    assert os.getpid() not in processes.descendants()
