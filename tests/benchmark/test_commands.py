"""The quick commands are measured, and one that fails is no measurement."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.benchmark.commands import Command, Cost, run, table

_SCRIPT = Path(__file__).parents[2] / "scripts" / "bench"


@pytest.mark.postfix
def test_each_command_has_its_row() -> None:
    done = subprocess.run(
        [_SCRIPT, "commands", "--rounds", "1"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split(" | ") for line in done.stdout.splitlines()[2:]]
    names = ["postmap -q", "postconf NAME"]
    names += [f"postvirt {name}" for name in ("lookup", "explain", "status")]
    assert [row[0] for row in rows] == [f"| {name}" for name in names]


def test_the_middle_one_counts() -> None:
    slow, usual, fast = Cost(9.0, 0.5), Cost(0.2, 0.1), Cost(0.1, 0.01)
    measured = {Command("true", ("true",)): [slow, usual, fast]}
    assert table(measured).splitlines()[-1] == "| true | 200 | 100 |"


def test_a_command_that_fails_ends_it() -> None:
    assert run(Command("sh", ("sh", "-c", "exit 3"), (0, 3))).seconds > 0
    with pytest.raises(SystemExit, match="sh -c exit 3: exit status 3"):
        run(Command("sh", ("sh", "-c", "exit 3")))
