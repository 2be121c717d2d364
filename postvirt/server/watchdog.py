"""The watchdog process: it loads everything once and forks workers.

As the drop-in it is the process that master(8) started. One worker at a time accepts
clients; a fresh one costs a fork and not the start of an interpreter. A worker that is
to be replaced says so before it has served its last clients, and gets a successor at
once; when a worker left for good, so does this process. When the worker that accepts
has crashed, this process exits with an error, so that master(8) sees it.

The handler of SIGTERM does nothing but wake up the loop. The only thread is the main
thread, because only then may a process fork.
"""

from __future__ import annotations

import gc
import os
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from postvirt.server.worker import Leave, Ties
from postvirt.system import log

# Runs a worker to its end, in the child.
RunWorker = Callable[[Ties], Leave]


@dataclass(slots=True)
class _Worker:
    """A worker process; `says` is readable when it asks for a successor, or ended."""

    pid: int
    says: int
    has_successor: bool = False


def watch(next_worker: Callable[[], RunWorker]) -> int:
    """Keep one worker accepting; the exit status of this process.

    next_worker is called before each fork, in this process: the place to read a changed
    configuration again.
    """
    return _Watchdog(next_worker).run()


class _Watchdog:
    def __init__(self, next_worker: Callable[[], RunWorker]) -> None:
        self._next_worker = next_worker
        self._workers: dict[int, _Worker] = {}
        self._exit_status: int | None = None
        self._lifeline, self._held = os.pipe2(os.O_CLOEXEC)
        self._signals, wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        # Whoever started this process may have ignored it: no status would be kept.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._own = [self._held, self._signals, wakeup]
        self._poll = select.poll()
        self._poll.register(self._signals, select.POLLIN)

    def run(self) -> int:
        """Until there is no worker left."""
        self._start_worker()
        while self._workers:
            for fd, _ in self._poll.poll():
                if fd == self._signals:
                    self._take_signals()
                else:
                    self._hear(fd)
        return self._exit_status or 0

    def _start_worker(self) -> None:
        run_worker = self._next_worker()
        says, tells = os.pipe2(os.O_CLOEXEC)
        # What exists now is shared with every worker; the collector must not touch it,
        # or each worker would get its own copy of the pages.
        gc.freeze()
        # A signal for the worker must not get lost in this process's handler.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for fd in (*self._own, *self._workers, says):
                os.close(fd)
            ties = Ties((self._lifeline,), lambda: _tell(tells))
            _be_worker(run_worker, ties)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
        os.close(tells)
        self._workers[says] = _Worker(pid, says)
        self._poll.register(says, select.POLLIN)

    def _take_signals(self) -> None:
        if signal.SIGTERM in os.read(self._signals, 1000):
            self._exit_status = 0
            self._stop_workers()

    def _hear(self, says: int) -> None:
        """A worker asks for a successor, or ended."""
        worker = self._workers[says]
        if os.read(says, 1):
            self._succeed(worker)
            return
        self._poll.unregister(says)
        os.close(says)
        del self._workers[says]
        _, status = os.waitpid(worker.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            log.warning(_killed(worker.pid, -code))
        if code == Leave.REPLACE:
            self._succeed(worker)
        elif not worker.has_successor and (code > 0 or self._exit_status is None):
            self._exit_status = 1 if code < 0 else code  # it logged why
            # Nobody accepts any more, and master(8) sees that only when all are gone.
            self._stop_workers()

    def _stop_workers(self) -> None:
        for worker in self._workers.values():
            os.kill(worker.pid, signal.SIGTERM)

    def _succeed(self, worker: _Worker) -> None:
        if not worker.has_successor and self._exit_status is None:
            worker.has_successor = True
            self._start_worker()


def _tell(fd: int) -> None:
    try:
        os.write(fd, b".")
    except OSError:
        pass  # the watchdog process is gone; its lifeline tells


def _killed(pid: int, number: int) -> str:
    if number == signal.SIGALRM:
        return f"worker process {pid} made no progress for daemon_timeout: killed"
    return f"worker process {pid} killed by signal {number}"


def _be_worker(run_worker: RunWorker, ties: Ties) -> NoReturn:
    """Work and exit, never returning into the watchdog's code."""
    status = 1
    try:
        status = run_worker(ties)
    except SystemExit as end:  # log.fatal
        status = end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        log.error(f"unexpected {type(error).__name__}: {error}; please report")
    finally:
        os._exit(status)
