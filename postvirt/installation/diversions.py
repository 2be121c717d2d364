"""Make dpkg leave a file alone: its diversions.

When a file is diverted, dpkg installs the package's version under another name, now and
after each upgrade. Only dpkg's records change here; the caller moves the files, because
it knows the right moment.

Source: dpkg-divert(1), dpkg-query(1). Without dpkg, no package owns a file.
Raises: OSError with the message of dpkg.
"""

from __future__ import annotations

import os
import shutil

from postvirt.system.run_program import run_program


def is_packaged(path: str) -> bool:
    """Whether a dpkg package owns a file."""
    if shutil.which("dpkg-query") is None:
        return False
    found = _run("dpkg-query", "--search", path, may_fail=True)
    return any(
        line.endswith(f": {path}") and " diversion " not in f" {line}"
        for line in found.splitlines()
    )


def place_of(path: str) -> str:
    """Where dpkg installs a file: another path if it is diverted, else this one."""
    if shutil.which("dpkg-divert") is None:
        return path
    return _run("dpkg-divert", "--truename", path).rstrip("\n")


def divert(path: str, other: str) -> None:
    """Make dpkg install a file elsewhere from now on."""
    _run("dpkg-divert", "--local", "--no-rename", "--divert", other, "--add", path)


def end_diversion(path: str) -> None:
    """Make dpkg install a file where its package says."""
    _run("dpkg-divert", "--local", "--no-rename", "--remove", path)


def _run(program: str, *arguments: str, may_fail: bool = False) -> str:
    done = run_program([program, *arguments], environment={**os.environ, "LC_ALL": "C"})
    if done.status != 0 and not may_fail:
        raise OSError(os.fsdecode(done.errors).strip() or f"{program} failed")
    return os.fsdecode(done.output)
