"""Who owns the files of a temporary instance."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postvirt.standin import identity
from postvirt.standin.instance import Instance
from tests.harness.child import in_child

# As OpenShift gives them to containers: there is no such account.
_UID = 1_000_650_000


@pytest.mark.root
def test_a_user_without_an_account(ground: Path) -> None:
    os.chown(ground, _UID, -1)

    def work() -> tuple[int, int]:
        os.setresgid(_UID, _UID, _UID)
        os.setresuid(_UID, _UID, _UID)
        Instance(ground / "instance")
        mine = identity.mail_owner()
        return mine.uid, mine.gid

    assert in_child(work) == (_UID, _UID)
