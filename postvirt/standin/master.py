"""The process manager, for one service.

It listens on the service's socket, starts a process when a client waits and no process
is available, and learns from the status channel which processes are. A process that
fails before it has served a client closes the service, so that waiting clients see the
end of their connection. (master(8) would try again a minute later.)

Parity: src/master/master_spawn.c, master_avail.c, master_status.c, master_proto.h.
Raises: OSError when the socket cannot be made or the program cannot be started.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from postvirt.codec.master_status import AVAILABLE, RECORD_BYTES, decode_status
from postvirt.standin.identity import mail_owner
from postvirt.standin.services import POSTLOG

FLOW_READ_FD = 3
FLOW_WRITE_FD = 4
STATUS_FD = 5
LISTEN_FD = 6

# Descriptors are duplicated here before they get their numbers in the new process, so
# that none of them is overwritten before it has been duplicated.
_FIRST_SPARE_FD = 64
_BACKLOG = 100
_NOTHING: Mapping[str, str] = {}


@dataclass(slots=True)
class Process:
    """A process and what is known about it.

    reports       (pid, generation, availability), as it has written them
    exit_status   that of os.waitstatus_to_exitcode, None while the process runs
    """

    pid: int
    generation: int
    is_available: bool = True
    reports: list[tuple[int, int, int]] = field(default_factory=list)
    exit_status: int | None = None

    @property
    def has_served(self) -> bool:
        """Whether it has finished a job."""
        return any(report[2] == AVAILABLE for report in self.reports)


class Master:
    """Manages one service, in a thread of its own, from construction until `stop`.

    arguments      of the process, without argv[0], which is the program's path
    process_limit  the number of processes that may run at once
    error_output   the file for the processes' standard output and error
    environment    variables that override those of master(8)
    """

    def __init__(
        self,
        spool: Path,
        config_directory: Path,
        program: Path,
        *,
        service: str = "virtual",
        arguments: Sequence[str] = ("-n", "virtual", "-t", "unix"),
        hostname: str = "mail.example.org",
        process_limit: int = 1,
        error_output: Path = Path("/dev/null"),
        environment: Mapping[str, str] = _NOTHING,
    ) -> None:
        self.processes: list[Process] = []
        self._running: dict[int, Process] = {}
        self._command = (os.fspath(program), *arguments)
        self._spool = spool
        self._error_output = error_output
        self._process_limit = process_limit
        self._environment = {
            "MAIL_CONFIG": os.fspath(config_directory),
            "MAIL_LOGTAG": "postfix",
            "LANG": "C",
            "POSTLOG_SERVICE": os.fspath(spool / POSTLOG),
            "POSTLOG_HOSTNAME": hostname,
            **environment,
        }
        self._flow_pipe = os.pipe()
        self._status, self._status_for_processes = socket.socketpair()
        self._status.setblocking(False)
        self._wake, self._waking_end = socket.socketpair()
        self._listener = _listen(spool / "private" / service)
        self._is_listening = False
        self._is_throttled = False
        self._deadline = float("inf")
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._status, selectors.EVENT_READ, self._take_reports)
        self._selector.register(self._waking_end, selectors.EVENT_READ, self._leave)
        self._thread = threading.Thread(target=self._run, name="master")
        self._thread.start()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """End as master(8) does, and wait until every process has ended.

        A process that takes longer is killed, which its exit status shows.
        """
        self._timeout_seconds = timeout_seconds
        self._wake.close()
        self._thread.join()
        for fd in self._flow_pipe:
            os.close(fd)
        for connection in (self._status, self._status_for_processes, self._waking_end):
            connection.close()
        self._listener.close()
        self._selector.close()

    def _run(self) -> None:
        while self._deadline == float("inf") or self._running:
            self._listen_if_needed()
            for key, _ in self._selector.select(self._time_left_seconds()):
                key.data()
            if time.monotonic() > self._deadline:
                for pid in self._running:
                    os.kill(pid, signal.SIGKILL)

    def _time_left_seconds(self) -> float | None:
        if self._deadline == float("inf"):
            return None
        return max(0.1, self._deadline - time.monotonic())

    def _leave(self) -> None:
        # The processes see the end of the status channel, and can still write to it.
        self._selector.unregister(self._waking_end)
        self._deadline = time.monotonic() + self._timeout_seconds
        self._status.shutdown(socket.SHUT_WR)

    def _listen_if_needed(self) -> None:
        running = self._running
        is_needed = (
            not self._is_throttled
            and self._deadline == float("inf")
            and not any(process.is_available for process in running.values())
            and len(running) < self._process_limit
        )
        if is_needed and not self._is_listening:
            self._selector.register(
                self._listener, selectors.EVENT_READ, self._start_process
            )
        elif self._is_listening and not is_needed:
            self._selector.unregister(self._listener)
        self._is_listening = is_needed

    def _start_process(self) -> None:
        generation = len(self.processes) + 1
        pid = self._spawn(generation)
        process = Process(pid, generation)
        self.processes.append(process)
        self._running[pid] = process
        pidfd = os.pidfd_open(pid)
        self._selector.register(
            pidfd, selectors.EVENT_READ, lambda: self._reap(process, pidfd)
        )

    def _spawn(self, generation: int) -> int:
        wanted = {
            FLOW_READ_FD: self._flow_pipe[0],
            FLOW_WRITE_FD: self._flow_pipe[1],
            STATUS_FD: self._status_for_processes.fileno(),
            LISTEN_FD: self._listener.fileno(),
        }
        spare = {
            fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_SPARE_FD): number
            for number, fd in wanted.items()
        }
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.fspath(self._error_output), append, 0o666),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            *((os.POSIX_SPAWN_DUP2, fd, number) for fd, number in spare.items()),
        ]
        # The shell sets the working directory, which posix_spawn cannot.
        change_directory = ("/bin/sh", "-c", 'cd "$0" && exec "$@"')
        try:
            return os.posix_spawn(
                "/bin/sh",
                (*change_directory, os.fspath(self._spool), *self._command),
                {**self._environment, "GENERATION": f"{generation:o}"},
                file_actions=actions,
            )
        finally:
            for fd in spare:
                os.close(fd)

    def _take_reports(self) -> None:
        while True:
            try:
                record = self._status.recv(RECORD_BYTES)
            except BlockingIOError:
                return
            report = decode_status(record)
            process = self._running.get(report[0])
            if process is not None:
                process.reports.append(report)
                process.is_available = report[2] == AVAILABLE

    def _reap(self, process: Process, pidfd: int) -> None:
        self._selector.unregister(pidfd)
        os.close(pidfd)
        self._take_reports()  # what it has reported before it ended
        _, status = os.waitpid(process.pid, 0)
        process.exit_status = os.waitstatus_to_exitcode(status)
        del self._running[process.pid]
        if process.exit_status != 0 and not process.has_served:
            self._close_service()

    def _close_service(self) -> None:
        self._is_throttled = True
        self._listen_if_needed()  # no longer
        self._listener.close()


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.setblocking(False)
    listener.bind(os.fspath(path))
    path.chmod(0o666)
    mail_owner().give(path)
    listener.listen(_BACKLOG)
    return listener
