"""Set the clock for a program alone; the machine's clock goes on as it is."""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

_SOURCE = Path(__file__).with_name("set_clock.c")


class Clock:
    """What is added to the time of day of a program with this environment."""

    def __init__(self, directory: Path) -> None:
        library, step = directory / "set_clock.so", directory / "step"
        command = ("cc", "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl")
        subprocess.run(command, check=True)
        step.write_bytes(bytes(8))
        step.chmod(0o644)
        with step.open("r+b") as file:
            self._step = mmap.mmap(file.fileno(), 8)
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": os.fspath(library),
            "CLOCK_STEP": os.fspath(step),
        }

    def set(self, seconds: int) -> None:
        """Let the time of day be so many seconds later than it is, or earlier."""
        self._step[:8] = struct.pack("q", seconds)
