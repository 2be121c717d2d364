from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.root
@pytest.mark.postfix
def test_the_picture_shows_what_the_commands_print() -> None:
    command = [f"{ROOT}/scripts/terminal", "--check"]
    check = subprocess.run(command, check=False, capture_output=True, text=True)
    assert check.stdout + check.stderr == ""
    assert check.returncode == 0
