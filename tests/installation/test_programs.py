"""What lies under the name of a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from postvirt.installation.programs import Program, interpreter_of, program_at
from tests.harness.comparison import GENUINE

LAUNCHER = "#!{} -I\nimport sys\n\nfrom postvirt.server.launcher import main\n"


def test_programs_and_what_is_none(tmp_path: Path) -> None:
    path = tmp_path / "virtual"
    assert program_at(path) is Program.NOTHING
    path.symlink_to(tmp_path / "nowhere")
    assert program_at(path) is Program.NOTHING
    path.unlink()
    path.write_bytes(b"\x7fELF\0virtual_minimum_uid\0")
    assert program_at(path) is Program.GENUINE
    assert interpreter_of(path) == ""
    path.write_text("#!/bin/sh\n")
    assert program_at(path) is Program.SOMETHING_ELSE
    path.write_text(LAUNCHER.format("/opt/postvirt/bin/python"))
    assert program_at(path) is Program.LAUNCHER
    assert interpreter_of(path) == "/opt/postvirt/bin/python"
    (tmp_path / "link").symlink_to(path)
    assert program_at(tmp_path / "link") is Program.LAUNCHER
    path.write_text("#!\n")
    assert interpreter_of(path) == ""


@pytest.mark.postfix
def test_the_installed_program_is_the_genuine_one() -> None:
    assert program_at(GENUINE) is Program.GENUINE
    assert program_at(GENUINE.with_name("local")) is Program.SOMETHING_ELSE
