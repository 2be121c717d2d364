"""Some of what scripts/fuzz does, the same inputs each time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

for _driver in ("atheris", "lmdb", "prometheus_client"):
    pytest.importorskip(_driver)

_INPUTS = 1000
_ROOT = Path(__file__).parents[2]


def _fuzz(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments],
        cwd=_ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_whatever_the_bytes_there_is_a_value_or_a_refusal() -> None:
    said = _fuzz("-n", str(_INPUTS))
    for target in ("records", "settings", "hash"):
        assert f"{target:<16}{_INPUTS} inputs" in said


@pytest.mark.slow
def test_long_inputs_take_no_longer_than_they_are() -> None:
    """Of some targets, for which that takes a moment."""
    targets = ("records", "options", "texthash", "regexp", "mailbox", "control")
    said = _fuzz("--repeated", *targets)
    assert len(said.splitlines()) == len(targets)
