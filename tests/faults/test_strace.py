"""A call of a process that runs already."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.strace import Fault, missing_strace, traced

# Reads a line, tries to open three files, says what came of it.
_PROGRAM = """
import errno, os, sys
for line in sys.stdin:
    answers = []
    for path in sys.argv[1:]:
        try:
            os.close(os.open(path, os.O_RDONLY))
        except OSError as error:
            answers.append(errno.errorcode[error.errno])
        else:
            answers.append("done")
    print(*answers, flush=True)
"""


@pytest.mark.root
def test_one_call_fails_and_no_other(tmp_path: Path) -> None:
    if reason := missing_strace():
        pytest.skip(reason)
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.touch()
    command = [sys.executable, "-c", _PROGRAM, *map(str, paths)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask() -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            print("now", file=process.stdin, flush=True)
            return process.stdout.readline().strip()

        assert ask() == "done done done"
        with traced(process.pid, tmp_path / "log", None) as trace:
            assert ask() == "done done done"
        assert trace.calls["openat"] == 3
        assert trace.arguments is None
        fault = Fault("openat", 2, "ESTALE")
        with traced(process.pid, tmp_path / "log", fault) as trace:
            assert ask() == "done ESTALE done"
            assert ask() == "done done done"
        assert trace.arguments is not None
        assert f'"{paths[1]}"' in trace.arguments
        process.stdin.close()
