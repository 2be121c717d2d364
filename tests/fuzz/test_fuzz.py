"""Some of what scripts/fuzz does, the same inputs each time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

for _driver in ("atheris", "berkeleydb.db", "lmdb", "prometheus_client"):
    pytest.importorskip(_driver)

_INPUTS = 1000
_ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_whatever_the_bytes_there_is_a_value_or_a_refusal() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "-n", str(_INPUTS)],
        cwd=_ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for target in ("records", "settings", "hash"):
        assert f"{target:<16}{_INPUTS} inputs" in done.stdout
