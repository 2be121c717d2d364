"""A helper process of the benchmark, and how it is asked.

Helpers are processes of their own, so that neither they nor the clients wait for each
other. A helper says "ready" once it is, answers each line on its standard input with
one line, and ends when there is no more input: it goes when the benchmark goes,
whatever the reason.

Raises: HelperError.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

_TIMEOUT_SECONDS = 30.0


class HelperError(Exception):
    """The helper has not answered."""


class Helper:
    """A module of this package, run as a process until the context is left."""

    def __init__(self, module: str, *arguments: str | Path) -> None:
        self._module = module
        command = [sys.executable, "-m", f"tests.benchmark.{module}"]
        self._process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,  # Ctrl-C is for the benchmark alone
        )
        self._expect("ready")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let it end, and wait until it has."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._process.stdout.close()

    def send(self, line: str) -> None:
        """Say something."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")

    def receive(self) -> str:
        """The next answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise HelperError(f"{self._module} has ended")
        return line[:-1]

    def ask(self, line: str) -> str:
        """Say something and wait for the answer."""
        self.send(line)
        return self.receive()

    def _expect(self, line: str) -> None:
        if self.receive() != line:
            raise HelperError(f"{self._module} is not {line}")
