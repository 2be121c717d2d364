"""A machine can be killed whatever its processes do, and others do not notice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.in_laboratory import in_laboratory
from tests.cluster.laboratory import Laboratory, inside_laboratory, missing
from tests.cluster.machine import Machine, state_of
from tests.cluster.waiting import wait_until
from tests.harness import databases

WRITE = """
import sys
from tests.cluster.laboratory import laboratory
with laboratory() as lab:
    lab.add("one").run("touch", sys.argv[1])
"""


def stopped(machine: Machine) -> subprocess.Popen[str]:
    """The nsenter(1) of a process there that is stopped, which is stopped, too."""
    parent = machine.spawn("sh", "-c", "kill -STOP $$; sleep infinity")
    wait_until(lambda: state_of(parent.pid) == "T", "stopped")
    return parent


@pytest.mark.root
@in_laboratory
def test_a_machine_ends_with_what_is_stopped(lab: Laboratory) -> None:
    """The laboratory, too, which kills the other one."""
    one, two = lab.add("one"), lab.add("two")
    of_one, of_two = stopped(one), stopped(two)
    one.kill()
    assert of_one.wait(timeout=10) != 0
    assert state_of(of_two.pid) == "T"
    one.start()
    assert one.run("hostname") == "one\n"


@pytest.mark.root
def test_shared_memory_goes_with_the_laboratory() -> None:
    if reason := missing():
        databases.missing(reason)
    written = Path(f"/dev/shm/of-{os.getpid()}")
    write = [sys.executable, "-c", WRITE, f"{written}"]
    try:
        subprocess.run(inside_laboratory(write), timeout=60, check=True)
        assert not written.exists()
    finally:
        written.unlink(missing_ok=True)
