"""A process beside the workers, for a library that the watchdog process must not load.

The watcher and the exporter are such processes. Their libraries start threads, or need
much memory, and the process that forks workers must stay single-threaded and small. A
companion is started with exec, as a module that no other module imports. It is told
what to do by lines of JSON on standard input, each of which replaces the one before,
and answers with lines of JSON on standard output. It ends when its input does.

When it dies it is started again, after a pause that grows while it keeps dying early.

Raises: nothing; the service goes on without it.
Security: a companion has fewer rights than the service, and serves strangers. One that
    says what it should not is killed, and another one is started.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from postvirt.server.loop import Loop
from postvirt.server.restart_backoff import EARLY_SECONDS, Backoff
from postvirt.system import log

# The number of the shared descriptor in a companion.
SHARED_FD = 3

_SHORTEST_PAUSE_SECONDS = 1.0

# Enough for the names of all tables and directories.
_MOST_LINE_BYTES = 1_048_576

# What a line that makes no sense can cause.
_NONSENSE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)

# How often to check whether one that was killed has ended.
_LOOK_SECONDS = 0.1


class Companion:
    """The watchdog process's end of a companion, from the first `tell` to `close`.

    name     its name in the log
    on_line  is called with each line that it says; raises TypeError or KeyError for
             one that makes no sense
    state    "dead", "starting" once it was told something, then what it says itself
    """

    def __init__(
        self,
        loop: Loop,
        name: str,
        module: str,
        on_line: Callable[[dict[str, Any]], None],
    ) -> None:
        self.pid = 0
        self.state = "dead"
        self._loop = loop
        self._name = name
        self._module = module
        self._on_line = on_line
        self._arguments: Sequence[str] = ()
        self._shared_fd = -1
        self._wanted = b""
        self._unsent: list[bytes] = []  # the first may be the rest of a line
        self._is_wanted = False
        self._input = self._output = -1
        self._received = b""
        self._started = 0.0
        self._backoff = Backoff()

    def tell(
        self,
        arguments: Sequence[str],
        wanted: dict[str, Any],
        shared_fd: int = -1,
    ) -> None:
        """Set what the companion is to do; starts it if it is dead.

        The arguments, and the descriptor that it receives as SHARED_FD, are for the
        next process that is started.
        """
        self._arguments = arguments
        self._shared_fd = shared_fd
        self._wanted = json.dumps(wanted).encode() + b"\n"
        self._is_wanted = True
        if self.state == "dead":
            self._start()
        else:
            self._send()

    def close(self) -> None:
        """End it, without waiting for it: it may hang in a file system."""
        self._is_wanted = False
        if self.state != "dead":
            self._kill()

    def _start(self) -> None:
        if self._loop.is_stopping or not self._is_wanted or self.state != "dead":
            return
        try:
            self._spawn()
        except OSError as error:
            pause = max(self._backoff.fail(), _SHORTEST_PAUSE_SECONDS)
            why = log.errno_text(error)
            log.error(f"start {self._name}: {why}: trying again in {pause:g} seconds")
            self._loop.call_after(pause, self._start)

    def _spawn(self) -> None:
        command = [sys.executable, "-I", "-m", self._module, *self._arguments]
        fds: list[int] = []
        try:
            fds += os.pipe2(os.O_CLOEXEC)
            fds += os.pipe2(os.O_CLOEXEC)
            theirs, self._input, self._output, their_output = fds
            actions = [
                (os.POSIX_SPAWN_DUP2, theirs, 0),
                (os.POSIX_SPAWN_DUP2, their_output, 1),
                (os.POSIX_SPAWN_DUP2, 2, 2),  # exec might close a daemon's
            ]
            if self._shared_fd >= 0:
                actions += [(os.POSIX_SPAWN_DUP2, self._shared_fd, SHARED_FD)]
            self.pid = os.posix_spawn(
                sys.executable, command, os.environ, file_actions=actions
            )
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        os.close(theirs)
        os.close(their_output)
        os.set_blocking(self._input, False)
        os.set_blocking(self._output, False)
        self._unsent = []
        self._loop.keep(self._input)
        self._loop.add_source(self._output, self._hear)
        self._received = b""
        self._started = time.monotonic()
        self._send()

    def _send(self) -> None:
        """Send what is wanted now, in place of what has not been sent yet."""
        self.state = "starting"
        was_sending = bool(self._unsent)
        self._unsent[1:] = [self._wanted]
        if not was_sending:
            self._loop.add_source(self._input, self._send_more, writes=True)

    def _send_more(self) -> None:
        try:
            while self._unsent:
                data = self._unsent[0]
                self._unsent[:1] = [data[os.write(self._input, data) :]]
                if not self._unsent[0]:
                    del self._unsent[0]
        except BlockingIOError:
            return  # it is busy
        except OSError:
            self._unsent = []  # it is dead; its output ends
        self._loop.remove_source(self._input)

    def _hear(self) -> None:
        try:
            data = os.read(self._output, 65_536)
        except BlockingIOError:
            return  # an event of another descriptor that had this number before
        if not data:
            self._bury()
            return
        *lines, self._received = (self._received + data).split(b"\n")
        try:
            for line in lines:
                self._take(line)
            if len(self._received) > _MOST_LINE_BYTES:
                raise ValueError("an endless line")
        except _NONSENSE as error:
            pid = self.pid
            self._kill()
            self._replace(f"{pid} says nonsense ({error}): killed")

    def _take(self, line: bytes) -> None:
        said = json.loads(line)
        state = said.get("state", self.state)
        if not isinstance(state, str) or state == "dead":
            raise ValueError(f"state {state!r}")
        self.state = state
        self._on_line(said)

    def _kill(self) -> None:
        pid = self.pid
        try:
            os.kill(pid, signal.SIGKILL)
        except PermissionError:
            pass  # a root without CAP_KILL must not; it ends with its input
        self._forget()
        self._reap(pid)

    def _bury(self) -> None:
        pid = self.pid
        self._forget()
        os.waitpid(pid, 0)
        self._replace(f"{pid} died")

    def _replace(self, why: str) -> None:
        if self._loop.is_stopping:
            return
        if time.monotonic() > self._started + EARLY_SECONDS:
            self._backoff.reset()
        pause = self._backoff.fail()
        log.warning(
            f"{self._name} process {why}: next one"
            + (f" in {pause:g} seconds" if pause else " at once")
        )
        self._loop.call_after(pause, self._start)

    def _reap(self, pid: int) -> None:
        """Read its exit status, now or when it has ended."""
        if os.waitpid(pid, os.WNOHANG) == (0, 0):
            self._loop.call_after(_LOOK_SECONDS, partial(self._reap, pid))

    def _forget(self) -> None:
        """Close the pipes: it has ended, or is about to."""
        self._loop.remove_source(self._output)
        self._loop.release(self._input)
        if self._unsent:
            self._loop.remove_source(self._input)
            self._unsent = []
        os.close(self._output)
        os.close(self._input)
        self.state = "dead"
