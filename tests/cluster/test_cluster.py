"""Three hosts, one mail store, and failures: nothing is lost, bounced or torn.

`scripts/cluster` does the same, many times, and says how long recovery takes.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cluster.laboratory import missing

pytestmark = [pytest.mark.postfix, pytest.mark.timeout(180)]


def cluster(*arguments: str) -> str:
    """What the command prints; all promises are kept."""
    if reason := missing():
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster", "--rounds", "1", *arguments],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_mail_arrives_whatever_fails() -> None:
    said = cluster("network", "host", "row", "clocks")
    assert said.count("accepted") == 4, said
