"""Let a system call of a running process fail, with strace(1).

Raises: OSError; AssertionError when strace does not attach to the process.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)", re.MULTILINE)
_INJECTED = re.compile(r"^(?:\d+ +)?\w+\((.*?)\) += .*\(INJECTED\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Fault:
    """The call of this name, and of this number (from 1), fails with this error.

    If the error is a signal, the process receives that instead, before the call.
    """

    call: str
    number: int
    error: str

    def __str__(self) -> str:
        return f"{self.call}:{self.number}:{self.error}"


@dataclass(slots=True)
class Trace:
    """What strace has seen, when it has ended.

    calls      how often each call was made
    arguments  of the call that failed, with the paths of descriptors; None: none did
    """

    calls: Counter[str] = field(default_factory=Counter)
    arguments: str | None = None


def missing_strace() -> str:
    """What has to be installed, or an empty string."""
    return "" if shutil.which("strace") else "needs strace"


@contextmanager
def traced(pid: int, log: Path, fault: Fault | None) -> Iterator[Trace]:
    """Watch a process, and let a call of it fail."""
    command = ["strace", "-f", "-y", "-s", "0", "-o", os.fspath(log), "-p", f"{pid}"]
    if fault is not None:
        effect = "signal" if fault.error.startswith("SIG") else "error"
        inject = f"{fault.call}:{effect}={fault.error}:when={fault.number}"
        command += ["-e", f"trace={fault.call}", "-e", f"inject={inject}"]
    trace = Trace()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        assert "attached" in said, said
        try:
            yield trace
        finally:
            strace.send_signal(signal.SIGTERM)
            strace.communicate()
    seen = log.read_text(errors="replace")
    trace.calls.update(match[1] for match in _CALL.finditer(seen))
    if injected := _INJECTED.search(seen):
        trace.arguments = injected[1]
