"""Locks on mailboxes that this process holds while an agent wants them."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from postvirt.standin.queue_file import QueueFile

_LOOK_SECONDS = 0.005
_PATIENCE_SECONDS = 20.0

Hold = Callable[[Path], IO[bytes]]


def _held(lock: Callable[[IO[bytes]], object]) -> Hold:
    def hold(path: Path) -> IO[bytes]:
        file = path.open("r+b")
        lock(file)
        return file

    return hold


# Takes a lock of a file and gives what has to be closed to give it up.
HOLDS: Mapping[str, Hold] = {
    "fcntl": _held(lambda file: fcntl.lockf(file, fcntl.LOCK_EX)),
    "fcntl-shared": _held(lambda file: fcntl.lockf(file, fcntl.LOCK_SH)),
    "fcntl-part": _held(lambda file: fcntl.lockf(file, fcntl.LOCK_EX, 1, 1000)),
    "flock": _held(lambda file: fcntl.flock(file, fcntl.LOCK_EX)),
    "flock-shared": _held(lambda file: fcntl.flock(file, fcntl.LOCK_SH)),
}


def hold_all(locks: Mapping[Path, str]) -> ExitStack:
    """Hold the named lock of each file until the stack is closed."""
    stack = ExitStack()
    for path, name in locks.items():
        stack.enter_context(HOLDS[name](path))
    return stack


class WhenItWaits:
    """Does something as soon as the agent that serves a message has to wait.

    An agent holds a shared lock of the queue file. With one recipient, nothing before
    the end of the delivery makes it sleep then but a mailbox that is locked.
    """

    def __init__(self, queued: QueueFile, act: Callable[[], object]) -> None:
        self._inode = queued.path.stat().st_ino
        self._act = act
        self._has_acted = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """The agent is done with the message."""
        self._is_over.set()
        self._thread.join()
        assert self._has_acted, "the agent did not wait"

    def _run(self) -> None:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while not self._is_over.wait(_LOOK_SECONDS) and time.monotonic() < give_up:
            pid = self._agent()
            if pid is not None and _sleeps(pid):
                self._act()
                self._has_acted = True
                return

    def _agent(self) -> str | None:
        for line in Path("/proc/locks").read_text().splitlines():
            match line.split():
                case [_, "FLOCK", _, "READ", pid, file, *_]:
                    if file.endswith(f":{self._inode}"):
                        return pid
        return None


def _sleeps(pid: str) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] == "S"
