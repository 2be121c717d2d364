"""The helper that starts the delivery agent's processes, as master(8) does.

    python -m tests.benchmark.manager SPOOL CONFIG_DIRECTORY PROGRAM PROCESS_LIMIT

It answers "cpu" with the CPU seconds that all of them have used, "processes" with how
many were started, and "memory" with the most memory they had together (bytes) from then
until another line comes.
"""

from __future__ import annotations

import select
import sys
from pathlib import Path

from postvirt.standin.master import Master
from tests.benchmark import processes

_BETWEEN_SAMPLES_SECONDS = 0.02


def main(spool: str, config_directory: str, program: str, process_limit: str) -> None:
    """Manage until standard input ends."""
    master = Master(
        Path(spool),
        Path(config_directory),
        Path(program),
        process_limit=int(process_limit),
        error_output=Path(config_directory) / "output",
    )
    try:
        _answer("ready")
        with open(0, "rb", buffering=0) as questions:
            for question in questions:
                match question.strip():
                    case b"cpu":
                        _answer(processes.cpu_seconds())
                    case b"processes":
                        _answer(len(master.processes))
                    case b"memory":
                        _answer(_most_memory_bytes(questions.fileno()))
    finally:
        master.stop()


def _most_memory_bytes(fd: int) -> int:
    most = processes.memory_bytes()
    while not select.select([fd], [], [], _BETWEEN_SAMPLES_SECONDS)[0]:
        most = max(most, processes.memory_bytes())
    return most


def _answer(value: object) -> None:
    print(value, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
