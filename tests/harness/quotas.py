"""File systems with quotas of users, groups and projects, and limits for them.

Source: quotactl(2), linux/quota.h. A kernel need not have them.
"""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.file_systems import Mount, formatted

_QUOTACTL_FD = 443
_GET, _SET = 0x80_0007, 0x80_0008
KINDS = {"user": 0, "group": 1, "project": 2}
# Two limits and the use of blocks, the same of inodes, the ends of two grace times, and
# which of them are set.
_DQBLK = struct.Struct("=8QI4x")
_LIMITS, _TIMES = 1 | 4, 16 | 32
_KBYTES = 1024
PROJECT = 7

_missing: set[str] = set()
_libc = ctypes.CDLL(None, use_errno=True)


def with_quota(*command: str, options: str, size_bytes: int) -> Mount:
    """A file system in a file with these quotas; a test skips where there are none."""
    inner = formatted(*command, options=options, size_bytes=size_bytes)
    what = f"{options} of {command[0]}"

    def mount(directory: Path) -> None:
        if what not in _missing:
            try:
                inner(directory)
            except AssertionError:
                _missing.add(what)
        if what in _missing:
            pytest.skip(f"this kernel has no {what}")

    return mount


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits so far above what is used, in kbytes and inodes; 0 is none.

    has_ended    the time for which a soft limit may be exceeded is over
    """

    hard: int = 0
    soft: int = 0
    hard_inodes: int = 0
    soft_inodes: int = 0
    has_ended: bool = False


def limit(directory: Path, kind: str, identity: int, limits: Limits) -> None:
    """Set the limits of a user, a group or a project."""
    found = ctypes.create_string_buffer(_DQBLK.size)
    _quotactl(directory, _GET, kind, identity, found)
    _, _, used, _, _, inodes, *_ = _DQBLK.unpack(found.raw)
    blocks = [one and one + used // _KBYTES for one in (limits.hard, limits.soft)]
    files = [one and one + inodes for one in (limits.hard_inodes, limits.soft_inodes)]
    times = (1, 1) if limits.has_ended else (0, 0)
    valid = _LIMITS | (_TIMES if limits.has_ended else 0)
    wanted = _DQBLK.pack(*blocks, 0, *files, 0, *times, valid)
    _quotactl(directory, _SET, kind, identity, ctypes.create_string_buffer(wanted))


def make_project(directory: Path) -> None:
    """What comes into the directory belongs to a project."""
    command = ("chattr", "-p", str(PROJECT), "+P", directory)
    subprocess.run(command, check=True)


def _quotactl(
    directory: Path,
    command: int,
    kind: str,
    identity: int,
    values: ctypes.Array[ctypes.c_char],
) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        number = command << 8 | KINDS[kind]
        result = _libc.syscall(_QUOTACTL_FD, fd, number, identity, values)
    finally:
        os.close(fd)
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), f"quotactl {kind}")
