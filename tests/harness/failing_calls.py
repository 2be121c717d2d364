"""Let a program's system calls fail as they do on a disk that is in trouble.

For what no file system here can be brought to do: a quota that is reached in the middle
of a file and still lets go of what was written, or a disk that loses what it was given.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SOURCE = Path(__file__).with_name("failing_calls.c")


@dataclass(frozen=True, slots=True)
class Failing:
    """What fails, on regular files: see failing_calls.c.

    call     "write", "fsync" or "close"
    number   the errno
    size     for a write: how large files may become
    """

    call: str
    number: int
    size: int = 0

    def environment(self, directory: Path, build: Path) -> Mapping[str, str]:
        """Make a program fail below the directory; its library is built in `build`."""
        library = build / "failing_calls.so"
        command = ("cc", "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl")
        subprocess.run(command, check=True)
        return {
            "LD_PRELOAD": os.fspath(library),
            "FAILING_CALL": self.call,
            "FAILING_ERRNO": f"{self.number}",
            "FAILING_SIZE": f"{self.size}",
            "FAILING_DIRECTORY": f"{directory}/",
        }
