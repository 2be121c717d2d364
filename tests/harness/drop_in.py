"""postvirt-virtual as a process, with master(8)'s ends in the hands of a test.

Unlike standin.master this does nothing by itself: the test reads the status channel and
the log, line by line, and so waits for what it wants to see.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postvirt.codec.master_status import RECORD_BYTES, decode_status
from postvirt.model.text import text
from postvirt.standin.instance import Instance
from postvirt.standin.queue_manager import Reply, converse
from tests.harness.installed_postfix import without_new

TIMEOUT_SECONDS = 20.0
NORMAL = ("-n", "virtual", "-t", "unix")
PROJECT = Path(__file__).parents[2]

_PROGRAM = f"""\
#!{sys.executable}
import sys
sys.path[:] = {[str(PROJECT), *sys.path]!r}
%s
from postvirt.server.launcher import main
sys.exit(main())
"""
LOG_LINE = re.compile(
    rb"\w{3} [ \d]\d \d\d:\d\d:\d\d (\S+) (\S+)\[(\d+)\]: (.*)", re.DOTALL
)
# What master(8) hands over; descriptors on their way there are above all of them.
_MASTER_FDS = range(3, 20)
_FIRST_SPARE_FD = _MASTER_FDS.stop
_LOOK_SECONDS = 0.005
_LEAVE_SECONDS = 3.0
_IN_OPEN = 0x20


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line as postlogd(8) gets it."""

    host: str
    tag: str
    pid: int
    text: str


class DropIn:
    """The process, from construction until `close`; `pid` is the watchdog process's."""

    def __init__(
        self,
        instance: Instance,
        arguments: Sequence[str] = NORMAL,
        *,
        generation: str = "5",
        name: str = "virtual",
        environment: Mapping[str, str] | None = None,
        descriptors: Mapping[int, int] | None = None,
        listeners: int = 1,
        setup: str = "",
    ) -> None:
        self.instance = instance
        self._setup = setup
        self.exit_status: int | None = None
        self._log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._log.settimeout(TIMEOUT_SECONDS)
        self._log.bind(os.fspath(instance.socket("public/postlog")))
        instance.socket("public/postlog").chmod(0o666)
        self.status, status_for_process = socket.socketpair()
        self.status.settimeout(TIMEOUT_SECONDS)
        self._listeners = [self._listen(number) for number in range(listeners)]
        wanted = {5: status_for_process.fileno()}
        wanted |= {6 + n: one.fileno() for n, one in enumerate(self._listeners)}
        wanted |= descriptors or {}
        variables = {
            "MAIL_CONFIG": str(instance.etc),
            "MAIL_LOGTAG": "postfix",
            "LANG": "C",
            "POSTLOG_SERVICE": str(instance.socket("public/postlog")),
            "POSTLOG_HOSTNAME": "early.example.org",
            "GENERATION": generation,
            **_measurement(),
            **(environment or {}),
        }
        self.pid = self._spawn(name, arguments, wanted, variables)
        self.pidfd = os.pidfd_open(self.pid)
        status_for_process.close()
        for listener in self._listeners:
            listener.close()

    def _listen(self, number: int) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        path = self._path(number)
        listener.bind(os.fspath(path))
        path.chmod(0o666)
        listener.listen(300)
        return listener

    def _path(self, number: int) -> Path:
        return self.instance.socket(f"private/virtual{number or ''}")

    def _spawn(
        self,
        name: str,
        arguments: Sequence[str],
        wanted: Mapping[int, int],
        variables: Mapping[str, str],
    ) -> int:
        program = self.instance.root / name
        program.write_text(_PROGRAM % self._setup)
        program.chmod(0o755)
        output = os.fspath(self.instance.root / "output")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        ]
        actions += [(os.POSIX_SPAWN_OPEN, 1, output, flags, 0o666)]
        actions += [(os.POSIX_SPAWN_DUP2, 1, 2)]
        for number in set(_MASTER_FDS) - wanted.keys():
            # Whoever started the tests may have left something open there.
            actions += [(os.POSIX_SPAWN_CLOSE, number)]
        spares = [
            (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_SPARE_FD), number)
            for number, fd in wanted.items()
        ]
        actions += [(os.POSIX_SPAWN_DUP2, spare, number) for spare, number in spares]
        try:
            return os.posix_spawn(
                program,
                (name, *arguments),
                dict(variables),
                file_actions=actions,
                setpgroup=0,
            )
        finally:
            for spare, _ in spares:
                os.close(spare)

    @property
    def output(self) -> str:
        """What the processes wrote to standard output and error."""
        path = self.instance.root / "output"
        return path.read_text() if path.exists() else ""

    def connect(self, number: int = 0) -> socket.socket:
        """A client of one of the listen sockets."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(TIMEOUT_SECONDS)
        client.connect(os.fspath(self._path(number)))
        return client

    def ask(self, data: bytes, number: int = 0) -> Reply:
        """Send a request and hang up."""
        with self.connect(number) as client:
            return converse(client, data, hang_up=True)

    def report(self) -> tuple[int, int, int]:
        """The next status record: pid, generation, availability."""
        return decode_status(self.status.recv(RECORD_BYTES))

    def has_logged(self, seconds: float) -> bool:
        """Whether there is a line, or will be one in so many seconds."""
        return bool(select.select([self._log], [], [], seconds)[0])

    def log_line(self) -> LogLine:
        """The next line of the log, but for what postmap says of an index."""
        while not without_new([(line := self._next_line()).text]):
            pass
        return line

    def _next_line(self) -> LogLine:
        match = LOG_LINE.fullmatch(self._log.recv(65_536))
        assert match is not None
        host, tag, pid, line = map(text, match.groups())
        return LogLine(host, tag, int(pid), line)

    def log_texts(self) -> list[str]:
        """The lines that are there by now; call it when nothing more will come."""
        lines = []
        while select.select([self._log], [], [], 0)[0]:
            lines.append(self._next_line().text)
        return without_new(lines)

    def worker(self) -> int:
        """The process id of the one worker."""
        (pid,) = self.children()
        return pid

    def children(self) -> list[int]:
        """The watchdog process's children, zombies included."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return sorted(int(pid) for pid in children.split())

    def has_reported(self) -> bool:
        """Whether there is a status record to read."""
        return bool(select.select([self.status], [], [], 0)[0])

    def children_become(self, *pids: int) -> bool:
        """Wait until these are the children; an end is an event for a parent only."""
        give_up = time.monotonic() + TIMEOUT_SECONDS
        while self.children() != sorted(pids):
            if time.monotonic() > give_up:
                return False
            time.sleep(_LOOK_SECONDS)
        return True

    def stop_master(self) -> None:
        """Let the status channel end, as when master(8) goes away or is reloaded."""
        self.status.shutdown(socket.SHUT_WR)

    def wait(self) -> int:
        """Wait until the process ends: its exit status, negative for a signal."""
        if self.exit_status is None:
            assert ends(self.pidfd), "the process does not end"
            _, status = os.waitpid(self.pid, 0)
            self.exit_status = os.waitstatus_to_exitcode(status)
        return self.exit_status

    def close(self) -> None:
        """End what is still there."""
        if self.exit_status is None and _measurement():
            self._let_it_leave()
        if self.exit_status is None:
            # Once stopped it reaps nobody, so that every pid stays its process's own.
            os.kill(self.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            for pid in (*self.children(), self.pid):
                os.kill(pid, signal.SIGKILL)
            self.wait()
        os.close(self.pidfd)
        self._log.close()
        self.status.close()

    def _let_it_leave(self) -> None:
        """What a killed process has measured is lost."""
        os.kill(self.pid, signal.SIGTERM)
        if select.select([self.pidfd], [], [], _LEAVE_SECONDS)[0]:
            self.wait()


def _measurement() -> dict[str, str]:
    """What makes the process part of scripts/coverage, when that runs the tests."""
    name = "COVERAGE_PROCESS_CONFIG"
    return {name: os.environ[name]} if name in os.environ else {}


def ends(pidfd: int) -> bool:
    """Wait until a process ends; False when it takes too long."""
    return bool(select.select([pidfd], [], [], TIMEOUT_SECONDS)[0])


class Opened:
    """Tells when a file is opened by somebody."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_CLOEXEC)
        assert libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_OPEN) >= 0

    def wait(self) -> None:
        assert select.select([self._fd], [], [], TIMEOUT_SECONDS)[0], "nobody opens it"
        os.close(self._fd)
