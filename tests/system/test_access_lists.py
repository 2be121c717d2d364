"""What a default access control list hands down is what a new directory has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postvirt.system.access_lists import rights_handed_down
from tests.harness.mail_folder import acl


@pytest.mark.parametrize("rights", ["", "x", "rx", "wx", "rwx"])
def test_a_new_directory_has_these_rights(tmp_path: Path, rights: str) -> None:
    acl("", f"u::{rights}", "g::rwx", "o::rwx", default=True)(tmp_path)
    (tmp_path / "new").mkdir()
    mode = (tmp_path / "new").stat().st_mode
    assert rights_handed_down(bytes(tmp_path)) == mode >> 6 & 7


def test_without_a_list_all_is_allowed(tmp_path: Path) -> None:
    every_right = os.R_OK | os.W_OK | os.X_OK
    assert rights_handed_down(bytes(tmp_path)) == every_right
    assert rights_handed_down(bytes(tmp_path / "missing")) == every_right
