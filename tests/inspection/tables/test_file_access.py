"""Tables in the home directory of a user."""

from __future__ import annotations

import os
import pwd
from types import SimpleNamespace

import pytest

from postvirt.inspection.tables.file_access import check_writable
from tests.harness.installations import Installation, subject_of

pytestmark = pytest.mark.root


@pytest.mark.parametrize("is_home", [False, True])
def test_a_home_directory_remains_its_users(
    installation: Installation, is_home: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = installation.etc / "home"
    home.mkdir()
    table = installation.table("home/mailboxes", {"bob@example.com": "bob/"})
    for one in (home, home / "mailboxes"):
        installation.give(one)
    installation.set(virtual_mailbox_maps=table)
    directory = str(home) if is_home else "/nonexistent"
    account = SimpleNamespace(pw_name="eve", pw_dir=directory)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: account)
    (problem,) = check_writable(subject_of(installation))
    assert problem.code == "PV106"
    assert str(home) in problem.text
    if is_home:
        assert problem.remedy.startswith(f"move what is in {os.path.realpath(home)} to")
        assert problem.commands == ()
    else:
        assert problem.commands == (f"chown root {home}",)
