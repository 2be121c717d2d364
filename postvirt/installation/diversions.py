"""Have dpkg leave a file alone: its diversions.

When a file is diverted, the package that owns it has it under another name, now and
after each upgrade. Only dpkg's records change here; files are moved by the caller, who
knows the right moment.

Source: dpkg-divert(1), dpkg-query(1). Where there is no dpkg, it owns nothing.
Raises: OSError with what dpkg says.
"""

from __future__ import annotations

import os
import shutil
import subprocess


def is_packaged(path: str) -> bool:
    """Whether a package of dpkg's owns a file."""
    if shutil.which("dpkg-query") is None:
        return False
    found = _run("dpkg-query", "--search", path, may_fail=True)
    return any(
        line.endswith(f": {path}") and " diversion " not in f" {line}"
        for line in found.splitlines()
    )


def place_of(path: str) -> str:
    """Where dpkg puts a file: another path when it is diverted, else this one."""
    if shutil.which("dpkg-divert") is None:
        return path
    return _run("dpkg-divert", "--truename", path).rstrip("\n")


def divert(path: str, other: str) -> None:
    """Have dpkg put a file elsewhere from now on."""
    _run("dpkg-divert", "--local", "--no-rename", "--divert", other, "--add", path)


def end_diversion(path: str) -> None:
    """Have dpkg put a file where its package says."""
    _run("dpkg-divert", "--local", "--no-rename", "--remove", path)


def _run(program: str, *arguments: str, may_fail: bool = False) -> str:
    done = subprocess.run(
        [program, *arguments],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode != 0 and not may_fail:
        raise OSError(done.stderr.strip() or f"{program} failed")
    return done.stdout
