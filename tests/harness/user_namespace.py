"""Limits of the kernel that are lower for this process and its children alone."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

_CLONE_NEWUSER = 0x1000_0000
# All that tests use: identities outside do not exist.
_IDENTITIES = "0 0 65536"


def lower_limits(identities: str = _IDENTITIES, /, **limits: int) -> None:
    """Set limits of /proc/sys/user in a user namespace of this process, a child's.

    Nobody outside is concerned, and nothing has to be set back.
    """
    reads, writes = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        # Only somebody outside may say who is who inside.
        try:
            os.close(writes)
            if os.read(reads, 1):
                for name in ("uid_map", "gid_map"):
                    Path(f"/proc/{parent}/{name}").write_text(identities)
        finally:
            os._exit(0)
    os.close(reads)
    libc = ctypes.CDLL(None, use_errno=True)
    is_inside = libc.unshare(_CLONE_NEWUSER) == 0
    reason = errno.errorcode.get(ctypes.get_errno(), "?")
    if is_inside:
        os.write(writes, b"x")
    os.close(writes)
    os.waitpid(pid, 0)
    if not is_inside:
        pytest.skip(f"this process may not have a user namespace ({reason})")
    for name, limit in limits.items():
        Path(f"/proc/sys/user/{name}").write_text(f"{limit}\n")
