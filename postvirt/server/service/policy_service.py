"""The watchdog process's end of the policy service (server.policy.policy_worker).

postvirt_quota_policy_address asks for it. One process serves it. It is forked as the
workers are, and confined as they are; a reload replaces it, and it sees by itself when
a table changes. The socket stays open meanwhile, so that no client of smtpd(8) notices.

An address that is in use is tried again every few seconds, because mail does not wait
for it. A process that dies is started again, after a pause that grows while it keeps
dying early.

Raises: nothing; the service goes on without it.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn

from postvirt.delivery import confinement
from postvirt.delivery.mailbox_visits import Visits
from postvirt.delivery.quota_policy import (
    QuotaPolicy,
    prepare_policy,
    tables_of_policy,
)
from postvirt.errors import ConfigError
from postvirt.server.loop import CHILD_SIGNALS, Loop
from postvirt.server.policy.askers import Answer
from postvirt.server.policy.policy_worker import PolicyWorker
from postvirt.server.restart_backoff import EARLY_SECONDS, Backoff
from postvirt.server.service.listener import Listener
from postvirt.server.service.policy_listener import PortListener, listen
from postvirt.server.service.policy_work import PolicyWork
from postvirt.server.worker_setup import places_of
from postvirt.system import log
from postvirt.system.limits import allow_many_files

_RETRY_SECONDS = 5.0
_END_SECONDS = 1.0
_READY = b"r"


class _Process:
    """A process, which leaves when `held` is closed."""

    __slots__ = ("held", "is_ready", "pid", "started", "words")

    def __init__(self, pid: int, words: int, held: int) -> None:
        self.pid: Final = pid
        self.words: Final = words
        self.held = held
        self.started: Final = time.monotonic()
        self.is_ready = False


class PolicyService:
    """Serves smtpd(8) as `serve` says.

    in_child    closes what only workers need
    """

    def __init__(self, loop: Loop, in_child: Callable[[], None]) -> None:
        self._loop: Final = loop
        self._in_child: Final = in_child
        self._work: PolicyWork | None = None
        self._listener: Listener | PortListener | None = None
        self._address = self._problem = ""
        self._processes: list[_Process] = []  # the last one is the current one
        self._backoff = Backoff()

    def serve(self, work: PolicyWork) -> None:
        """Serve by these settings from now on; a process that does goes on."""
        if self._work is not None and self._work.settings is work.settings:
            return
        self._work = work
        self._backoff.reset()
        self._begin(work)

    def close(self) -> None:
        """End it; what has been asked is answered."""
        self._work = None
        self._close_listener()
        self._address = self._problem = ""
        for process in self._processes:
            self._dismiss(process)
        for process in self._processes:  # another service may need the port
            select.select([process.words], [], [], _END_SECONDS)

    def status(self) -> dict[str, Any] | None:
        """For `postvirt status`; None when it is not wanted."""
        if not self._address:
            return None
        current = None
        if self._processes and self._listener is not None:
            current = self._processes[-1]
        is_serving = current is not None and current.is_ready and current.held >= 0
        return {
            "pid": 0 if current is None else current.pid,
            "state": "serving" if is_serving else "starting",
            "address": self._address,
            "problem": self._problem,
        }

    def _begin(self, work: PolicyWork) -> None:
        """Listen, and start the process that accepts clients."""
        if self._loop.is_stopping or self._work is not work:
            return
        if self._address != work.address:
            self._close_listener()
            self._address = work.address
        if not work.address:
            for process in self._processes:
                self._dismiss(process)
            return
        try:
            if self._listener is None or not self._listener.is_in_place():
                self._close_listener()
                self._listener = listen(work.address, work.owner)
                self._loop.keep(self._listener.socket.fileno())
        except ConfigError as error:
            if error.text != self._problem:
                log.warning(
                    f"policy: cannot listen on {work.address}: {error.text}:"
                    " trying again every few seconds"
                )
            self._problem = error.text
            self._loop.call_after(_RETRY_SECONDS, partial(self._begin, work))
            return
        self._problem = ""
        try:
            self._start(work, self._listener.socket)
        except OSError as error:
            self._start_later(work, f"cannot be started: {log.errno_text(error)}")

    def _start(self, work: PolicyWork, listener: socket.socket) -> None:
        """Raises: OSError."""
        prepare_policy(work.settings, work.texts, work.tables)
        lifeline, held = os.pipe2(os.O_CLOEXEC)
        theirs = listener.dup()  # which, other than ours, a child inherits
        self._loop.keep(held)
        gc.freeze()  # as before a worker is forked (server.watchdog)
        try:
            pid, words, writes = self._loop.fork_with_pipe()
            if pid == 0:
                os.close(words)
                self._in_child()
                _work(work, theirs, lifeline, writes)
        except OSError:
            self._loop.release(held)
            os.close(held)
            raise
        finally:
            os.close(lifeline)
            theirs.close()
        os.close(writes)
        process = _Process(pid, words, held)
        self._processes.append(process)
        self._loop.add_source(words, partial(self._hear, process))

    def _hear(self, process: _Process) -> None:
        """It is ready, or has ended."""
        if os.read(process.words, 1) == _READY:
            if not process.is_ready:
                log.info(f"policy: listening on {self._address}")
            process.is_ready = True
            for other in self._processes[: self._processes.index(process)]:
                self._dismiss(other)
            return
        self._loop.remove_source(process.words)
        os.close(process.words)
        was_wanted = process.held >= 0 and process is self._processes[-1]
        self._dismiss(process)
        self._processes.remove(process)
        os.waitpid(process.pid, 0)
        if was_wanted and self._work is not None and not self._loop.is_stopping:
            if time.monotonic() > process.started + EARLY_SECONDS:
                self._backoff.reset()
            self._start_later(self._work, f"process {process.pid} died")

    def _start_later(self, work: PolicyWork, why: str) -> None:
        pause = max(self._backoff.fail(), 0.0)
        when = f"in {pause:g} seconds" if pause else "at once"
        log.warning(f"policy: {why}: next one {when}")
        self._loop.call_after(pause, partial(self._begin, work))

    def _dismiss(self, process: _Process) -> None:
        if process.held >= 0:
            self._loop.release(process.held)
            os.close(process.held)
            process.held = -1

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.remove()
            self._loop.release(self._listener.socket.fileno())
            self._listener.socket.close()
            self._listener = None


def _work(
    work: PolicyWork, listener: socket.socket, lifeline: int, writes: int
) -> NoReturn:
    """Serve and exit, never returning into the watchdog's code."""
    status = 1
    try:
        for number in (*CHILD_SIGNALS, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CHILD_SIGNALS)
        allow_many_files()
        names = tables_of_policy(work.settings, work.texts)
        confinement.find(
            work.owner,
            work.settings.virtual_minimum_uid,
            places_of(work.settings, work.tables, names),
        ).begin(work.owner)
        worker = PolicyWorker(partial(_open_answers, work, Visits()))
        worker.run(listener, lifeline, lambda: _say_ready(writes))
        status = 0
    except BaseException as error:
        log.error(f"unexpected {type(error).__name__}: {error}; please report")
    finally:
        os._exit(status)


def _open_answers(work: PolicyWork, visits: Visits) -> Answer:
    """Open the tables, in a thread."""
    return QuotaPolicy(
        work.settings, work.texts, work.tables, work.service, visits
    ).action


def _say_ready(writes: int) -> None:
    os.write(writes, _READY)
