"""What a target of the fuzzer is, and what targets have in common."""

from __future__ import annotations

import atexit
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeVar

T = TypeVar("T")

# Of one input in a child; a library that is in a loop is out of the second one first.
_MOST_SECONDS = 5
_MOST_CPU_SECONDS = 0.3
_MOST_KILOBYTES = 1_000_000
_DONE = b"done"
ENDED = "the library ended the process by signal "
_ENDS = (
    signal.SIGABRT,
    signal.SIGALRM,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGPROF,
    signal.SIGSEGV,
)

Run = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Target:
    """A function to call with bytes; its name, without "fuzz_", is that of the target.

    seeds     inputs to begin with; without any, inputs are random bytes
    longest   bytes in an input
    """

    run: Run
    seeds: Sequence[bytes] = ()
    longest: int = 4096
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


class Contained:
    """Run in a child: a library that trusts its files may crash or block there.

    The child is used again as long as it lives. An exception of postvirt's is one
    here; how the library has ended a child is printed, with the input.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.__name__ = getattr(run, "__name__", "")
        self._child: tuple[int, socket.socket] | None = None

    def __call__(self, data: bytes) -> None:
        self._child = self._child or self._start()
        _, connection = self._child
        connection.send(data or b"\0")
        answer = connection.recv(1 << 16)
        if not answer:
            print(f"{ENDED}{self.close()}: {data!r}", file=sys.stderr, flush=True)
        assert answer in (b"", _DONE), answer.decode(errors="replace")

    def close(self) -> int:
        """Let the child end, if it has not: the signal that ended it, or 0."""
        if self._child is None:
            return 0
        pid, connection = self._child
        self._child = None
        connection.close()
        return -os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _start(self) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            _be_child(self._run, theirs)
        theirs.close()
        return pid, ours


def _be_child(run: Run, connection: socket.socket) -> NoReturn:
    try:
        for number in _ENDS:
            signal.signal(number, signal.SIG_DFL)  # the fuzzer reports these
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        while data := connection.recv(1 << 16):
            signal.alarm(_MOST_SECONDS)
            signal.setitimer(signal.ITIMER_PROF, _MOST_CPU_SECONDS)
            answer = _DONE
            try:
                run(data)
            except BaseException:
                answer = traceback.format_exc().encode()[-60_000:]
            if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > _MOST_KILOBYTES:
                answer = b"uses too much memory"
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
            connection.send(answer)
    finally:
        os._exit(0)


def split(data: bytes) -> tuple[int, bytes]:
    """A number for choices, and the rest."""
    return (data[0], data[1:]) if data else (0, data)


def write(path: Path, content: bytes) -> None:
    """A file that no program has written to for a while, so that it is read at once."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, content)
    os.utime(fd, (1, 1))
    os.close(fd)


def directory() -> Path:
    """An empty directory in memory; it is removed when this process ends."""
    path = tempfile.mkdtemp(prefix="postvirt-fuzz-", dir="/dev/shm")
    pid = os.getpid()
    atexit.register(
        lambda: os.getpid() == pid and shutil.rmtree(path, ignore_errors=True)
    )
    return Path(path)
