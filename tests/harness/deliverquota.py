"""Courier's deliverquota, which maildrop's package has: mail for maildirs with a quota.

It heeds maildirsize where there is one, and creates none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from postvirt.model.mailbox import Owner

_NAMES = ("deliverquota.maildrop", "deliverquota")
_OVER_QUOTA = 77
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))


def program() -> str:
    """Where it is; without it, the test is skipped."""
    for name in _NAMES:
        if found := shutil.which(name, path=_PATH):
            return found
    reason = "needs deliverquota (maildrop)"
    if os.environ.get("POSTVIRT_REQUIRE_ALL"):
        pytest.fail(f"{reason}, and POSTVIRT_REQUIRE_ALL is set")
    pytest.skip(reason)


def deliver(maildir: Path, message: bytes, owner: Owner, *, by_pipe: bool) -> bool:
    """Deliver, as the owner does; False when the maildir is over quota.

    by_pipe   the size is unknown at first: deliverquota then changes maildirsize before
              the message is in new/, and not after that
    """
    with tempfile.TemporaryFile() as file:
        file.write(message)
        file.seek(0)
        done = subprocess.run(
            [program(), maildir],
            **({"input": message} if by_pipe else {"stdin": file}),
            capture_output=True,
            check=False,
            user=owner.uid,
            group=owner.gid,
            extra_groups=[],
            umask=0o077,
        )
    assert done.returncode in (0, _OVER_QUOTA), done
    return done.returncode == 0
