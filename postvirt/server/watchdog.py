"""The watchdog process: it loads everything once, forks workers, and replaces them.

As the drop-in it is the process that master(8) started. One worker accepts clients, or
several when one processor is not enough for them (server.workload); a fresh one costs a
fork and not the start of an interpreter. A worker that is to be replaced says so before
it has served its last clients, and its successor is started at once. When a worker
leaves for good, this process ends too. When the worker that accepts clients crashes,
this process exits with an error, so that master(8) sees it.

A worker that hangs is replaced, too (server.hang_watch).

As a service it goes on until it is told to stop, and replaces workers that leave or
crash. Workers that die before they have served a client are replaced more and more
slowly.

Differs: Workers. The process that master(8) started stays, and replaces its worker
    after max_use clients or when a table has changed, because a fork costs much less
    than to start Python; virtual(8) is started again. One worker serves up to
    postvirt_client_limit clients at a time.
Raises: what Job.prepare raises.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Iterable
from functools import partial

from postvirt.server.hang_watch import INTERVAL_SECONDS, HangWatch
from postvirt.server.job import Job, be_worker
from postvirt.server.loop import Callback, Loop
from postvirt.server.metrics.scoreboard import Activity, Reason, Scoreboard
from postvirt.server.restart_backoff import EARLY_SECONDS, Backoff
from postvirt.server.watched_worker import Health, State, WatchedWorker
from postvirt.server.worker_protocol import REPLACED, Leave, Parent, Word
from postvirt.server.workload import LOOK_SECONDS, Workload
from postvirt.system import log

# Of the looks for signs of life, one of so many is also for the workload.
_LOOKS = round(LOOK_SECONDS / INTERVAL_SECONDS)


def watch(job: Job) -> int:
    """Keep workers accepting clients; the exit status of this process."""
    loop = Loop()
    watchdog = Watchdog(loop, job)
    loop.on_signal(signal.SIGTERM, watchdog.stop)
    return watchdog.run()


class Watchdog:
    """Keeps workers at work.

    count         how many workers accept clients at first
    is_service    goes on until `stop`; else it ends with its worker
    on_ready      is called when as many workers as wanted accept clients
    on_failure    is called when a worker died or was killed, with which of them it was
    """

    def __init__(
        self,
        loop: Loop,
        job: Job,
        *,
        count: int = 1,
        is_service: bool = False,
        on_ready: Callback = lambda: None,
        on_failure: Callable[[Reason], None] = lambda _: None,
    ) -> None:
        self._count = count
        self._workload = Workload()
        self._looks = 0
        self._loop = loop
        self._job = job
        self._is_service = is_service
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._scoreboard = Scoreboard()
        self._workers: dict[int, WatchedWorker] = {}
        self._hang_watch = HangWatch(
            loop, self._workers, self._go_on_without, self._adapt
        )
        self._exit_status = 0
        self._backoff = Backoff()
        self._failed_at = 0.0
        self._is_pausing = False
        self._lifeline, held = os.pipe2(os.O_CLOEXEC)
        loop.keep(held)
        loop.keep(self._scoreboard.fd)

    @property
    def served(self) -> int:
        """How many clients were served by workers that have ended."""
        return self._scoreboard.gone.read().served

    @property
    def scoreboard_fd(self) -> int:
        """The scoreboard (server.metrics.scoreboard), for another program."""
        return self._scoreboard.fd

    def run(self) -> int:
        """Go on until no worker is left, and none is to come; the exit status."""
        self.start_workers()
        while self._are_at_work() or (self._is_service and not self._loop.is_stopping):
            self._loop.turn()
        return self._exit_status

    def _are_at_work(self) -> bool:
        """Whether there are workers to wait for: those that were given up may stay."""
        return any(one.health is not Health.GIVEN_UP for one in self._workers.values())

    def stop(self) -> None:
        """Let all workers finish what they accepted, and leave."""
        self._loop.is_stopping = True
        self._signal_all(signal.SIGTERM)

    def kill_workers(self) -> list[int]:
        """End all workers now; their process ids."""
        return self._signal_all(signal.SIGKILL)

    def retire_workers(self, reason: Reason, *, at_once: bool) -> None:
        """Have all workers replaced; to be followed by `start_workers`.

        With at_once they accept no more clients from now on, else until a new worker
        does.
        """
        for worker in self._workers.values():
            if not worker.has_successor:
                worker.state = State.STANDING_IN
                worker.reason = reason
        self._count = min(self._count, self._job.most)
        if at_once:
            self._dismiss_old()
        self._backoff.reset()

    def start_workers(self) -> None:
        """Start workers until there are as many as there should be."""
        for _ in range(self._count - len(self._current())):
            if not self._start_worker():
                return

    def workers(self) -> Iterable[WatchedWorker]:
        """All workers, including those that serve their last clients."""
        return self._workers.values()

    @property
    def is_accepting(self) -> bool:
        """Whether a worker accepts clients, and its loop comes round."""
        return any(
            one.state in (State.ACCEPTING, State.STANDING_IN)
            and one.health is Health.SOUND
            for one in self._workers.values()
        )

    def _current(self) -> list[WatchedWorker]:
        """The workers that accept clients or will, and that have no successor."""
        return [one for one in self._workers.values() if not one.has_successor]

    def _start_worker(self) -> bool:
        """Start a worker; False when there can be no further process now."""
        self._job.prepare()
        slot = self._scoreboard.take()
        slot.is_watched = self._hang_watch.is_watching
        # What exists now is shared with every worker; the collector must not touch it,
        # or each worker would get its own copy of the pages.
        gc.freeze()
        try:
            pid, words_fd, writes = self._loop.fork_with_pipe()
        except OSError as error:
            self._scoreboard.give_back(slot)
            self._cannot_fork(error)
            return False
        if pid == 0:
            os.close(words_fd)
            hung = self._hang_watch.hung
            be_worker(self._job, Parent((self._lifeline,), slot, hung, writes))
        os.close(writes)
        worker = WatchedWorker(
            pid=pid, words_fd=words_fd, slot=slot, started=time.monotonic()
        )
        self._workers[pid] = worker
        self._loop.add_source(words_fd, partial(self._hear, worker))
        return True

    def _cannot_fork(self, error: OSError) -> None:
        why = f"fork: {log.errno_text(error)}"
        if self._is_service:
            pause = max(self._backoff.fail(), 1.0)
            self._start_after(pause)
            log.error(f"{why}: next worker process in {pause:g} seconds")
        elif not self._do_without(why):
            log.fatal(why)

    def _do_without(self, why: str) -> bool:
        """Go on with the workers that there are; False if none accepts clients."""
        if others := self._current():  # there is one less, until more are needed
            self._count = len(others)
            log.warning(f"{why}: no further worker process now")
            return True
        old = [one for one in self._workers.values() if one.state is State.STANDING_IN]
        for worker in old:  # it goes on, and asks again when it leaves
            worker.state = State.ACCEPTING
        if old:
            log.warning(f"{why}: trying again when the worker process leaves")
        return bool(old)

    def _hear(self, worker: WatchedWorker) -> None:
        """A worker says something, or has ended."""
        match Word(os.read(worker.words_fd, 1)):
            case Word.READY:
                self._handle_ready(worker)
            case Word.WANTS_WATCH:
                self._hang_watch.begin()
            case Word.WANTS_SUCCESSOR:
                self._succeed(worker, State.STANDING_IN)
            case Word.WANTS_ANOTHER:
                self._succeed(worker, State.LEAVING)
            case Word.END:
                self._handle_end(worker)
            case Word.NONSENSE:
                log.warning(f"worker process {worker.pid} says nonsense: killed")
                os.kill(worker.pid, signal.SIGKILL)

    def _handle_ready(self, worker: WatchedWorker) -> None:
        if worker.has_successor:
            return
        worker.state = State.ACCEPTING
        if self._loop.is_stopping:
            return
        self._dismiss_old()
        current = self._current()
        if len(current) >= self._count and all(
            one.state is State.ACCEPTING for one in current
        ):
            self._on_ready()

    def _dismiss_old(self) -> None:
        for worker in self._workers.values():
            if worker.state is State.STANDING_IN:
                worker.dismiss()

    def _succeed(self, worker: WatchedWorker, state: State) -> None:
        """Start the successor of a worker that has none, and goes on in this state."""
        if not worker.has_successor and not self._loop.is_stopping:
            worker.state = state
            self._start_worker()

    def _adapt(self) -> bool:
        """See now and then whether more workers are needed, or fewer.

        Whether there are more than one, so that one may have to leave.
        """
        self._looks += 1
        if self._looks % _LOOKS == 0 and not self._loop.is_stopping:
            self._adapt_to_workload()
        return self._count > 1

    def _adapt_to_workload(self) -> None:
        current = self._current()
        if len(current) != self._count or any(
            one.state is not State.ACCEPTING for one in current
        ):
            return  # they are being replaced
        gone = self._scoreboard.gone.busy_seconds
        change = self._workload.change(self._workers.values(), self._count, gone)
        if change > 0 and self._count < self._job.most:
            if self._start_worker():
                self._count += 1
        elif change < 0:
            self._count -= 1
            current[-1].dismiss()

    def _go_on_without(self, worker: WatchedWorker) -> None:
        """A worker hangs: let another one accept clients, if there may be one."""
        if self._hang_watch.are_too_many:
            log.error("too many worker processes hang: no other one is started")
        else:
            self._succeed(worker, State.LEAVING)
        worker.dismiss()

    def _handle_end(self, worker: WatchedWorker) -> None:
        """A worker has ended: replace it, or end as well."""
        self._loop.remove_source(worker.words_fd)
        os.close(worker.words_fd)
        del self._workers[worker.pid]
        code = worker.wait()
        self._hang_watch.handle_end(worker)
        activity = worker.slot.read()
        self._scoreboard.give_back(worker.slot)
        reason = worker.why_ended(code)
        if reason is not None and not self._loop.is_stopping:
            self._scoreboard.count_end(reason)
        if worker.health is Health.GIVEN_UP:
            if not self._loop.is_stopping:
                self.start_workers()
            return
        if code in REPLACED:
            self._succeed(worker, State.LEAVING)
            return
        if worker.has_successor:
            return
        if code > 0 or (code < 0 and not self._loop.is_stopping):
            self._exit_status = code if code > 0 else 1  # the worker logged why
        if self._loop.is_stopping:
            return
        if self._is_service:
            self._replace_dead(worker, activity, reason)
        elif code == Leave.FOR_GOOD and self._current():
            self._count -= 1  # the others go on
        elif code == Leave.SHORTAGE and self._do_without(
            f"worker process {worker.pid} could not go on"
        ):
            self._exit_status = 0
        else:
            # No worker accepts clients any more, and master(8) sees that only when all
            # have ended.
            self.stop()

    def _replace_dead(
        self, worker: WatchedWorker, activity: Activity, reason: Reason | None
    ) -> None:
        """Replace a worker that left for good (no reason) or failed, in a service."""
        now = time.monotonic()
        is_early = not activity.served and now < worker.started + EARLY_SECONDS
        never_worked = reason is not None and is_early
        if not never_worked or self._works_again():
            self._backoff.reset()
        pause = 0.0
        if never_worked:
            self._failed_at = now
            if not self._is_pausing:  # else it counts no more than the one before
                pause = self._backoff.fail()
        if reason is not None:
            self._on_failure(reason)
        if self._loop.is_stopping:
            return
        if pause:
            self._start_after(pause)
            log.warning(
                f"worker process {worker.pid} died before it served a client, as did"
                f" {self._backoff.failures - 1} before it:"
                f" next one in {pause:g} seconds"
            )
        elif not (never_worked and self._is_pausing):
            self.start_workers()

    def _start_after(self, pause: float) -> None:
        if not self._is_pausing:
            self._is_pausing = True
            self._loop.call_after(pause, self._end_pause)

    def _end_pause(self) -> None:
        self._is_pausing = False
        if not self._loop.is_stopping:
            self.start_workers()

    def _works_again(self) -> bool:
        """Whether a worker started since the last failure has served a client."""
        return any(
            worker.started > self._failed_at and worker.slot.read().served
            for worker in self._workers.values()
        )

    def _signal_all(self, number: signal.Signals) -> list[int]:
        for pid in self._workers:
            os.kill(pid, number)
        return list(self._workers)
