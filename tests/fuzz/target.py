"""What a target of the fuzzer is, and what targets have in common."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeVar

T = TypeVar("T")

_MOST_SECONDS = 5
_ENDS = (
    signal.SIGABRT,
    signal.SIGALRM,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSEGV,
)

Run = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Target:
    """A function to call with bytes; its name, without "fuzz_", is that of the target.

    seeds     inputs to begin with
    longest   bytes in an input
    slowness  of how many usual inputs one takes the time
    """

    run: Run
    seeds: Sequence[bytes] = ()
    longest: int = 4096
    slowness: int = 1
    name: str = field(init=False)

    def __post_init__(self) -> None:
        name = getattr(self.run, "__name__", "")
        object.__setattr__(self, "name", name.removeprefix("fuzz_"))


def outcome(work: Callable[[], T], *expected: type[Exception]) -> T | str:
    """The value, or the text of an expected exception."""
    try:
        return work()
    except expected as error:
        return f"{type(error).__name__}: {error}"


def contained(run: Run) -> Run:
    """Run in a child: a library that trusts its files may crash or block there.

    An exception of postvirt's is one here.
    """

    def run_in_child(data: bytes) -> None:
        reads, writes = os.pipe()
        pid = os.fork()
        if pid == 0:
            _be_child(lambda: run(data), writes)
        os.close(writes)
        with open(reads, "rb") as report:
            failure = report.read().decode(errors="replace")
        os.waitpid(pid, 0)
        assert not failure, failure

    run_in_child.__name__ = getattr(run, "__name__", "")
    return run_in_child


def _be_child(work: Callable[[], object], writes: int) -> NoReturn:
    for number in _ENDS:
        signal.signal(number, signal.SIG_DFL)  # the fuzzer reports these
    signal.alarm(_MOST_SECONDS)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        work()
    except BaseException:
        os.write(writes, traceback.format_exc().encode())
    finally:
        os._exit(0)


def split(data: bytes) -> tuple[int, bytes]:
    """A number for choices, and the rest."""
    return (data[0], data[1:]) if data else (0, data)


def write(path: Path, content: bytes) -> None:
    """A file that no program has written to for a while, so that it is read at once."""
    path.write_bytes(content)
    os.utime(path, (1, 1))


def directory() -> Path:
    """An empty directory in memory; it is removed when this process ends."""
    path = tempfile.mkdtemp(prefix="postvirt-fuzz-", dir="/dev/shm")
    pid = os.getpid()
    atexit.register(
        lambda: os.getpid() == pid and shutil.rmtree(path, ignore_errors=True)
    )
    return Path(path)
