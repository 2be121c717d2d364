"""A helper process of the benchmark, and how it is asked.

Helpers are processes of their own, so that neither they nor the clients wait for each
other. A helper says "ready" once it is, answers each line on its standard input with
one line, and ends when there is no more input: it goes when the benchmark goes,
whatever the reason.

Raises: HelperError.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmark import interruption

_TIMEOUT_SECONDS = 30.0


class HelperError(Exception):
    """The helper has not answered."""


class Helper:
    """The conversation with one."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def send(self, line: str) -> None:
        """Say something."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")

    def receive(self) -> str:
        """The next answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise HelperError("a helper has ended")
        return line[:-1]

    def ask(self, line: str) -> str:
        """Say something and wait for the answer."""
        self.send(line)
        return self.receive()


@contextmanager
def running(module: str, *arguments: str | Path | int) -> Iterator[Helper]:
    """A module of this package, run as a process until the context is left."""
    process = None
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.benchmark.{module}", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,  # Ctrl-C is for the benchmark alone
        )
        helper = Helper(process)
        if helper.receive() != "ready":
            raise HelperError(f"{module} is not ready")
        yield helper
    finally:
        if process is not None:
            with interruption.postponed():
                _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
