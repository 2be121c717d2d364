"""The watchdog process: it loads everything once and forks workers.

As the drop-in it is the process that master(8) started. It has one worker at a time; a
fresh one costs a fork and not the start of an interpreter. A worker that left to be
replaced gets a successor; when it left for good, so does this process. A worker that
crashed makes this process exit with an error, so that master(8) sees it.

Signals are blocked and waited for: there is no handler that could run at a bad moment.
The only thread is the main thread, because only then may a process fork.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable
from typing import NoReturn

from postvirt.server.worker import Leave
from postvirt.system import log

_SIGNALS = frozenset({signal.SIGCHLD, signal.SIGTERM})

# Runs a worker to its end, in the child; its argument is a descriptor that becomes
# readable when the watchdog process is gone.
RunWorker = Callable[[int], Leave]


def watch(next_worker: Callable[[], RunWorker]) -> int:
    """Keep one worker running; the exit status of this process.

    next_worker is called before each fork, in this process: the place to read a changed
    configuration again.
    """
    # Whoever started this process may have ignored SIGCHLD; then it would never come.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    lifeline, held = os.pipe2(os.O_CLOEXEC)
    while True:
        run_worker = next_worker()
        # What exists now is shared with every worker; the collector must not touch it,
        # or each worker would get its own copy of the pages.
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            os.close(held)
            _be_worker(run_worker, lifeline)
        status, is_stopping = _wait_for(pid)
        if os.WIFEXITED(status):
            code = os.WEXITSTATUS(status)
            if code == Leave.REPLACE and not is_stopping:
                continue
            if code in (Leave.FOR_GOOD, Leave.REPLACE):
                return 0
            return code  # it logged why
        if is_stopping:
            return 0
        log.warning(f"worker process {pid} killed by signal {os.WTERMSIG(status)}")
        return 1


def _be_worker(run_worker: RunWorker, lifeline: int) -> NoReturn:
    """Work and exit, never returning into the watchdog's code."""
    status = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD,))
        status = run_worker(lifeline)
    except SystemExit as end:  # log.fatal
        status = end.code if isinstance(end.code, int) else 1
    except BaseException as error:
        log.error(f"unexpected {type(error).__name__}: {error}; please report")
    finally:
        os._exit(status)


def _wait_for(pid: int) -> tuple[int, bool]:
    """Wait for the worker: its status, and whether this process was told to stop."""
    is_stopping = False
    while True:
        if signal.sigwait(_SIGNALS) == signal.SIGTERM:
            is_stopping = True
            os.kill(pid, signal.SIGTERM)
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status, is_stopping
