"""Run another program to its end, and take what it prints.

It reads nothing: its standard input is empty.
Raises: OSError when it cannot be started; TimeoutError when it takes too long.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Done(NamedTuple):
    """A program that has ended: exit status, standard output, standard error."""

    status: int
    output: bytes
    errors: bytes


def run_program(
    command: Sequence[str],
    *,
    patience_seconds: float | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Done:
    """Run a command, for at most patience_seconds."""
    try:
        done = subprocess.run(
            command,
            input=b"",
            capture_output=True,
            check=False,
            timeout=patience_seconds,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"{command[0]} did not end in time") from None
    return Done(done.returncode, done.stdout, done.stderr)


def output_of(command: Sequence[str], *, patience_seconds: float) -> bytes:
    """The standard output of a command; b"" when it cannot be run or takes too long."""
    try:
        return run_program(command, patience_seconds=patience_seconds).output
    except OSError:
        return b""
