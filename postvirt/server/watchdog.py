"""The watchdog process: it loads everything once and forks workers.

As the drop-in it is the process that master(8) started. One worker at a time accepts
clients; a fresh one costs a fork and not the start of an interpreter. A worker that is
to be replaced says so before it has served its last clients, and gets a successor at
once; when a worker left for good, so does this process. When the worker that accepts
has crashed, this process exits with an error, so that master(8) sees it.

As a service it keeps several workers that accept, until it is told to stop: whoever
left or crashed is replaced. Workers that die before they have served anybody are
replaced more and more slowly.

The handlers of signals do nothing but wake up the loop. The only thread is the main
thread, because only then may a process fork.

Differs: Workers. The process that master(8) started stays, and replaces its worker
    after max_use clients or when a table has changed, because a fork costs much less
    than to start Python; virtual(8) is started again. One worker serves up to
    postvirt_client_limit clients at a time.
Raises: what next_worker raises.
"""

from __future__ import annotations

import gc
import heapq
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from postvirt.server.metrics.scoreboard import Activity, Reason, Scoreboard, Slot
from postvirt.server.restart_backoff import EARLY_SECONDS, Backoff
from postvirt.server.worker import REPLACED, SIGNALS, Leave, Ties
from postvirt.system import log

# Runs a worker to its end, in the child.
RunWorker = Callable[[Ties], Leave]
Callback = Callable[[], None]

# What a worker says: it accepts clients; it accepts nobody any more and wants another
# one to go on; it will soon have served enough and wants a successor.
_READY = b"r"
_ANOTHER = b"a"
_SUCCESSOR = b"s"

# poll(2) takes no more than 24 days.
_MOST_REST_SECONDS = 86_400.0


@dataclass(slots=True, kw_only=True)
class _Worker:
    """A worker process.

    says            readable when the worker says something, or ended
    has_successor   this worker does not count any more
    stands_in       but it accepts clients until a newer one does
    reason          why it is to be replaced, if it is known before it ends
    """

    pid: int
    says: int
    slot: Slot
    started: float
    is_ready: bool = False
    has_successor: bool = False
    stands_in: bool = False
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker as others see it; started is a time.monotonic()."""

    pid: int
    started: float
    activity: Activity


def watch(next_worker: Callable[[], RunWorker]) -> int:
    """Keep one worker accepting; the exit status of this process.

    next_worker is called before each fork, in this process: the place to read a changed
    configuration again.
    """
    return Watchdog(next_worker).run()


class Watchdog:
    """The loop.

    count         how many workers accept clients
    is_service    goes on until `stop`; else it ends with its worker
    on_signal     what to call when a signal comes, besides SIGTERM, which is `stop`
    on_ready      is called when as many workers as wanted accept clients
    on_failure    is called when a worker failed; True: it was killed
    """

    def __init__(
        self,
        next_worker: Callable[[], RunWorker],
        *,
        count: int = 1,
        is_service: bool = False,
        on_signal: Mapping[signal.Signals, Callback] | None = None,
        on_ready: Callback = lambda: None,
        on_failure: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.count = count
        self.is_stopping = False
        self._next_worker = next_worker
        self._is_service = is_service
        self._on_signal = {signal.SIGTERM: self.stop, **(on_signal or {})}
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._scoreboard = Scoreboard()
        self._workers: dict[int, _Worker] = {}
        self._exit_status = 0
        self._backoff = Backoff()
        self._failed_at = 0.0
        self._is_pausing = False
        self._timers: list[tuple[float, int, Callback]] = []
        self._timer_number = 0
        self._sources: dict[int, Callback] = {}
        self._poll = select.poll()
        self._lifeline, held = os.pipe2(os.O_CLOEXEC)
        self._signals, wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number in self._on_signal:
            signal.signal(number, lambda *_: None)
        # Whoever started this process may have ignored it: no status would be kept.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._own = {held, wakeup, self._scoreboard.fd}
        self.add_source(self._signals, self._take_signals)

    @property
    def served(self) -> int:
        """How many clients were served by workers that are gone."""
        return self._scoreboard.served_by_the_gone

    @property
    def scoreboard_fd(self) -> int:
        """The scoreboard (server.metrics.scoreboard), for another program."""
        return self._scoreboard.fd

    def add_source(self, fd: int, callback: Callback, *, writes: bool = False) -> None:
        """Call back whenever a descriptor is readable; no worker will have it.

        With `writes`, whenever it can be written to.
        """
        self._sources[fd] = callback
        self._poll.register(fd, select.POLLOUT if writes else select.POLLIN)

    def remove_source(self, fd: int) -> None:
        """Never again; before it is closed."""
        del self._sources[fd]
        self._poll.unregister(fd)

    def keep(self, fd: int) -> None:
        """Do not let workers have this descriptor."""
        self._own.add(fd)

    def release(self, fd: int) -> None:
        """It is about to be closed."""
        self._own.discard(fd)

    def call_after(self, seconds: float, callback: Callback) -> None:
        """Call back once, after so many seconds."""
        self._timer_number += 1
        when = time.monotonic() + seconds
        heapq.heappush(self._timers, (when, self._timer_number, callback))

    def run(self) -> int:
        """Until there is no worker left, and none is to come; the exit status."""
        self._fill()
        while self._workers or (self._is_service and not self.is_stopping):
            ready = [fd for fd, _ in self._poll.poll(self._rest_milliseconds())]
            for fd, callback in [(fd, self._sources[fd]) for fd in ready]:
                # The one before may have closed it, and opened something else.
                if self._sources.get(fd) is callback:
                    callback()
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()
        return self._exit_status

    def stop(self) -> None:
        """Let all workers finish what they accepted, and leave."""
        self.is_stopping = True
        self._signal_all(signal.SIGTERM)

    def kill_workers(self) -> list[int]:
        """End all workers now; their process ids."""
        return self._signal_all(signal.SIGKILL)

    def replace_workers(
        self, prepare: Callback, reason: Reason, *, at_once: bool
    ) -> None:
        """Start new workers in place of those that accept clients.

        With at_once the old ones accept nobody any more from now on, else until a new
        one does. What is to be done before the new ones start is done by `prepare`.
        """
        for worker in self._workers.values():
            if not worker.has_successor:
                worker.has_successor = worker.stands_in = True
                worker.reason = reason
        if at_once:
            self._dismiss_old()
        self._backoff.reset()
        prepare()
        self._fill()

    def states(self) -> list[WorkerState]:
        """All workers, those included that serve their last clients."""
        return [
            WorkerState(worker.pid, worker.started, worker.slot.read())
            for worker in self._workers.values()
        ]

    def fork_with_pipe(self) -> tuple[int, int, int]:
        """Fork, with a pipe from the child; its ends are of use on one side each."""
        says, tells = os.pipe2(os.O_CLOEXEC)
        try:
            return self._fork(), says, tells
        except OSError:
            os.close(says)
            os.close(tells)
            raise

    def _fork(self) -> int:
        """Fork; the child keeps nothing that is this process's own."""
        # A signal for the child must not get lost in this process's handler.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            pid = os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            raise
        if pid == 0:
            self._become_child()
            return 0
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return pid

    def _become_child(self) -> None:
        try:
            signal.set_wakeup_fd(-1)
            if signal.SIGINT in self._on_signal:  # for all processes at a terminal
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            for fd in self._own | self._sources.keys():
                os.close(fd)
        except BaseException as error:  # never be a second watchdog process
            log.error(f"unexpected {type(error).__name__}: {error}; please report")
            os._exit(1)

    def _rest_milliseconds(self) -> float | None:
        if not self._timers:
            return None
        rest = max(0.0, self._timers[0][0] - time.monotonic())
        return min(rest, _MOST_REST_SECONDS) * 1000 + 1

    def _take_signals(self) -> None:
        came = os.read(self._signals, 1000)
        for number, callback in self._on_signal.items():
            if number in came:
                callback()

    def _fill(self) -> None:
        """Start workers until there are as many as there should be."""
        accepting = [one for one in self._workers.values() if not one.has_successor]
        for _ in range(self.count - len(accepting)):
            if not self._start_worker():
                return

    def _start_worker(self) -> bool:
        """Start a worker; False when there can be no further process now."""
        run_worker = self._next_worker()
        slot = self._scoreboard.take()
        # What exists now is shared with every worker; the collector must not touch it,
        # or each worker would get its own copy of the pages.
        gc.freeze()
        try:
            pid, says, tells = self.fork_with_pipe()
        except OSError as error:
            self._scoreboard.give_back(slot)
            self._take_no_process(error)
            return False
        if pid == 0:
            os.close(says)
            ties = Ties(
                (self._lifeline,),
                ask_for_another=lambda: _tell(tells, _ANOTHER),
                ask_for_successor=lambda: _tell(tells, _SUCCESSOR),
                say_ready=lambda: _tell(tells, _READY),
                slot=slot,
            )
            _be_worker(run_worker, ties)
        os.close(tells)
        worker = _Worker(
            pid=pid,
            says=says,
            slot=slot,
            started=time.monotonic(),
        )
        self._workers[pid] = worker
        self.add_source(says, partial(self._hear, worker))
        return True

    def _hear(self, worker: _Worker) -> None:
        """A worker says something, or ended."""
        said = os.read(worker.says, 1)
        if said == _READY:
            self._take_ready(worker)
        elif said == _ANOTHER:
            self._succeed(worker)
        elif said == _SUCCESSOR:
            self._succeed(worker, stands_in=True)
        else:
            self._bury(worker)

    def _take_ready(self, worker: _Worker) -> None:
        worker.is_ready = True
        if worker.has_successor or self.is_stopping:
            return
        self._dismiss_old()
        if self._are_ready():
            self._on_ready()

    def _dismiss_old(self) -> None:
        for worker in self._workers.values():
            if worker.stands_in:
                worker.stands_in = False
                _dismiss(worker)

    def _are_ready(self) -> bool:
        now = [one for one in self._workers.values() if not one.has_successor]
        return len(now) >= self.count and all(one.is_ready for one in now)

    def _bury(self, worker: _Worker) -> None:
        self.remove_source(worker.says)
        os.close(worker.says)
        del self._workers[worker.pid]
        _, status = os.waitpid(worker.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            log.warning(_killed(worker.pid, -code))
        activity = worker.slot.read()
        self._scoreboard.give_back(worker.slot)
        reason = _reason(worker, code)
        if reason is not None and not self.is_stopping:
            self._scoreboard.count_end(reason)
        if code in REPLACED:
            self._succeed(worker)
        elif not worker.has_successor:
            failed = code != Leave.FOR_GOOD
            if failed and (code > 0 or not self.is_stopping):
                self._exit_status = 1 if code < 0 else code  # it logged why
            if self._is_service and not self.is_stopping:
                self._replace_dead(worker, activity, failed=failed, killed=code < 0)
            elif not self.is_stopping:
                # Nobody accepts any more, and master(8) sees that only when all are
                # gone.
                self.stop()

    def _succeed(self, worker: _Worker, *, stands_in: bool = False) -> None:
        if not worker.has_successor and not self.is_stopping:
            worker.has_successor = True
            worker.stands_in = stands_in
            self._start_worker()

    def _replace_dead(
        self, worker: _Worker, activity: Activity, *, failed: bool, killed: bool
    ) -> None:
        now = time.monotonic()
        is_early = not activity.served and now < worker.started + EARLY_SECONDS
        never_worked = failed and is_early
        if not never_worked or self._works_again():
            self._backoff.reset()
        pause = 0.0
        if never_worked:
            self._failed_at = now
            if not self._is_pausing:  # else it counts no more than the one before
                pause = self._backoff.fail()
        if failed:
            self._on_failure(killed)
        if self.is_stopping:
            return
        if pause:
            self._fill_after(pause)
            log.warning(
                f"worker process {worker.pid} died before it served anybody, as did"
                f" {self._backoff.failures - 1} before: next one in {pause:g} seconds"
            )
        elif not (never_worked and self._is_pausing):
            self._fill()

    def _take_no_process(self, error: OSError) -> None:
        why = log.errno_text(error)
        if not self._is_service:
            old = [one for one in self._workers.values() if one.stands_in]
            if not old:
                log.fatal(f"fork: {why}")
            for worker in old:  # it goes on, and asks again when it leaves
                worker.has_successor = worker.stands_in = False
            log.warning(f"fork: {why}: next try when the worker process leaves")
            return
        pause = max(self._backoff.fail(), 1.0)
        self._fill_after(pause)
        log.error(f"fork: {why}: next worker process in {pause:g} seconds")

    def _fill_after(self, pause: float) -> None:
        if not self._is_pausing:
            self._is_pausing = True
            self.call_after(pause, self._end_pause)

    def _works_again(self) -> bool:
        """Whether a worker that is younger than the last failure has served anybody."""
        return any(
            worker.started > self._failed_at and worker.slot.read().served
            for worker in self._workers.values()
        )

    def _end_pause(self) -> None:
        self._is_pausing = False
        if not self.is_stopping:
            self._fill()

    def _signal_all(self, number: signal.Signals) -> list[int]:
        for pid in self._workers:
            os.kill(pid, number)
        return list(self._workers)


def _dismiss(worker: _Worker) -> None:
    worker.slot.dismiss()
    os.kill(worker.pid, signal.SIGHUP)


def _tell(fd: int, what: bytes) -> None:
    try:
        os.write(fd, what)
    except OSError:
        pass  # the watchdog process is gone; its lifeline tells


def _killed(pid: int, number: int) -> str:
    if number == signal.SIGALRM:
        return f"worker process {pid} made no progress for daemon_timeout: killed"
    return f"worker process {pid} killed by signal {number}"


def _reason(worker: _Worker, code: int) -> Reason | None:
    """Why a worker that ended with this exit code is replaced, if it is."""
    if code == -signal.SIGALRM:
        return Reason.DAEMON_TIMEOUT
    if code < 0:
        return Reason.KILLED
    if code == Leave.CHANGED_TABLE:
        return Reason.CHANGED_TABLE
    if code == Leave.REPLACE:
        return worker.reason or Reason.MAX_USE
    return None if code == Leave.FOR_GOOD else Reason.DIED


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
