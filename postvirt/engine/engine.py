"""Run many deliveries concurrently in one process, with one loop.

A delivery is a generator that yields what it has to wait for (model.effects). The
engine resumes the deliveries that can go on until all of them wait. Then it does what
they wait for, for all of them at once: it writes files out, commits them
(engine.group_commit), asks services, lets time pass. It waits for events only when
there is nothing left to do.

No delivery has to wait because of another client that sends nothing, a lock that is
never released, a database that does not answer, or a commit. Only the work itself makes
the others wait: reading and writing a message, and writing small ones out.

Raises: what a generator raises, in the generator or the caller that waits for it.
"""

from __future__ import annotations

import heapq
import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar, assert_never

from postvirt.engine.at_once import Groups
from postvirt.engine.batches import Batches
from postvirt.engine.group_commit import Disks
from postvirt.engine.lookup_threads import Lookups
from postvirt.engine.sole_wait import SoleWait
from postvirt.engine.tasks import Task, Then, Wait
from postvirt.model.effects import (
    AtOnce,
    Batch,
    Durable,
    Effect,
    Exchange,
    Lookup,
    Pause,
    Ready,
    Steps,
    Together,
    Written,
)
from postvirt.system import whereabouts
from postvirt.system.service_client import exchange
from postvirt.system.shortage import AGAIN_SECONDS, Shortage, is_shortage

T = TypeVar("T")

# At most this many branches of `Together` run at once, because each may have some files
# open; the others wait for their turn.
MOST_BRANCHES = 256

# poll(2) accepts no more than 24 days.
MOST_REST_SECONDS = 86_400.0

_READABLE: Final = select.EPOLLIN | select.EPOLLONESHOT
_WRITABLE: Final = select.EPOLLOUT | select.EPOLLONESHOT

# After so many commits for a client that was alone, the next one will be alone, too.
# Before, others may be on their way, and would wait for a commit in the foreground.
_MOST_TIMES_ALONE = 8

# So many timers may be over before they are dropped.
_MANY_TIMERS = 500


class StoppingError(Exception):
    """The process is to stop, and what a delivery waits for may never come."""


class Engine:
    """The loop.

    ipc_timeout          seconds that each read or write of a service may take
    services_announce    whether services announce their protocol first
    lookups              the threads for tables that may be slow
    on_commit            as in engine.group_commit
    """

    def __init__(
        self,
        ipc_timeout: float,
        *,
        services_announce: bool = True,
        lookups: Lookups | None = None,
        on_commit: Callable[[int], None] | None = None,
    ) -> None:
        self.clients = 0
        self._times_alone = _MOST_TIMES_ALONE
        self.rested_seconds = 0.0  # how long it has waited for events, in all
        self._ipc_timeout = ipc_timeout
        self._services_announce = services_announce
        self._lookups = lookups
        self._disks = Disks(on_commit)
        self._runnable: deque[tuple[Task, Any, BaseException | None]] = deque()
        self._at_once = Groups(self._runnable, self._disks.write_out_now)
        self._batches = Batches(self._runnable)
        self._waits: dict[int, Wait] = {}
        self._timers: list[tuple[float, int, Wait]] = []
        self._timer_number = 0
        self._most_timers = _MANY_TIMERS
        self._branches: deque[Task] = deque()
        self._branches_running = 0
        self._is_stopping = False
        self._shortage = Shortage("wait for a client or a service")
        self._watchers: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll()
        self._sole_wait = SoleWait(self._epoll.fileno())
        commits = self._disks.commits
        if commits.fileno() >= 0:
            self.watch(commits.fileno(), commits.finish_done)
        if lookups is not None:
            self.watch(lookups.fileno(), lookups.pass_answers_on)
        file_systems = self._disks.file_systems
        if file_systems.fileno() >= 0:
            mounted = select.EPOLLPRI | select.EPOLLET
            self._epoll.register(file_systems.fileno(), mounted)
            self._watchers[file_systems.fileno()] = file_systems.forget

    def start(self, steps: Steps[T], then: Callable[[T | None], None]) -> None:
        """Serve a client; `then` receives the result, None if it was abandoned."""

        def end(result: T | None, error: BaseException | None) -> None:
            self.clients -= 1
            if error is not None and not isinstance(error, StoppingError):
                raise error
            then(result)

        self.clients += 1
        self._runnable.append((Task(steps, end), None, None))

    def run(self, steps: Steps[T]) -> T | None:
        """Run these steps to completion; None if they were abandoned."""
        results: list[T | None] = []
        self.start(steps, results.append)
        while not results:
            self.turn(None)
        return results[0]

    def stop(self) -> None:
        """Stop waiting for clients that may never send anything, and for locks."""
        self._is_stopping = True
        for wait in [*self._waits.values(), *(timer[2] for timer in self._timers)]:
            if not wait.is_over:
                if wait.can_be_abandoned:
                    self._end_wait(wait, error=StoppingError())
                elif wait.can_be_cut_short:
                    self._end_wait(wait)

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call back whenever a descriptor is readable."""
        self._epoll.register(fd, select.EPOLLIN)
        self._watchers[fd] = callback

    def unwatch(self, fd: int) -> None:
        """Do not call back any more."""
        if self._watchers.pop(fd, None) is not None:
            self._ignore(fd)

    def turn(self, until: float | None) -> None:
        """Run what can go on, until everything waits or more can go on.

        When nothing can, wait for events first, until this time.monotonic().
        """
        if self._disks.commits.are_under_way:
            self._disks.go_on_without_slow()
        if not (self._runnable or self._disks.has_work):
            self._wait_for_events(self._rest_seconds(until))
        while True:
            whereabouts.notes.beat()
            while self._runnable:
                task, answer, error = self._runnable.popleft()
                self._advance(task, answer, error)
            if self._at_once.perform():
                continue
            if self._batches.begin():  # all deliveries had the time to join
                continue
            if not self._disks.has_work:
                return
            # A delivery that can go on by now may have something for the same commit.
            if self.clients > 1:
                self._times_alone = 0
                # Timers have to wait: one that is always over would delay the commit
                # for ever.
                if self._poll(0):
                    return
            self._times_alone += 1
            in_background = self._times_alone <= _MOST_TIMES_ALONE
            self._disks.work(in_background=in_background)

    def _advance(self, task: Task, answer: Any, error: BaseException | None) -> None:
        try:
            if error is None:
                effect = task.steps.send(answer)
            else:
                effect = task.steps.throw(error)
        except StopIteration as end:
            task.then(end.value, None)
        except Exception as failure:
            task.then(None, failure)
        else:
            try:
                self._perform(task, effect)
            except Exception as failure:
                self._resume(task, error=failure)

    def _perform(self, task: Task, effect: Effect) -> None:
        match effect:
            case AtOnce():
                self._at_once.add(task, effect, is_alone=self.clients == 1)
            case Written() | Durable():
                self._disks.add(effect, self._resuming(task))
            case Ready():
                self._wait_ready(task, effect)
            case Pause(seconds, can_be_cut_short):
                if can_be_cut_short and self._is_stopping:
                    self._resume(task)
                else:
                    wait = Wait(task, can_be_cut_short=can_be_cut_short)
                    self._wait_until(wait, seconds)
            case Exchange():
                steps = exchange(
                    effect.service,
                    effect.protocol if self._services_announce else b"",
                    effect.request,
                    self._ipc_timeout,
                )
                self._advance(Task(steps, self._resuming(task)), None, None)
            case Lookup():
                assert self._lookups is not None
                self._lookups.ask(effect, partial(self._resume, task))
            case Together(branches):
                self._run_together(task, branches)
            case Batch():
                self._batches.add(task, effect)
            case _:
                assert_never(effect)

    def _resume(
        self, task: Task, answer: Any = None, error: BaseException | None = None
    ) -> None:
        self._runnable.append((task, answer, error))

    def _resuming(self, task: Task) -> Then:
        # Twice in each delivery, so not a partial, which takes four times as long.
        def resume(answer: Any, error: BaseException | None) -> None:
            self._runnable.append((task, answer, error))

        return resume

    def _run_together(self, task: Task, branches: Sequence[Steps[Any]]) -> None:
        results: list[Any] = [None] * len(branches)
        errors: list[BaseException] = []
        left = len(branches)

        def arrive(number: int, result: Any, error: BaseException | None) -> None:
            nonlocal left
            results[number] = result
            if error is not None:
                errors.append(error)
            self._branches_running -= 1
            self._run_branches()
            left -= 1
            if not left:
                self._resume(task, results, errors[0] if errors else None)

        for number, steps in enumerate(branches):
            self._branches.append(Task(steps, partial(arrive, number)))
        self._run_branches()

    def _run_branches(self) -> None:
        while self._branches and self._branches_running < MOST_BRANCHES:
            self._branches_running += 1
            self._resume(self._branches.popleft())

    def _wait_ready(self, task: Task, effect: Ready) -> None:
        if effect.can_be_abandoned and self._is_stopping:
            self._resume(task, error=StoppingError())
            return
        if self.clients == 1 and not self._branches_running:
            began = time.monotonic()
            is_ready = self._sole_wait.is_ready(effect.fd, writes=effect.writes)
            self.rested_seconds += time.monotonic() - began
            if is_ready:
                self._resume(task, True)
                return
        wait = Wait(task, effect.fd, can_be_abandoned=effect.can_be_abandoned)
        try:
            self._watch_once(
                effect.fd, _WRITABLE if effect.writes else _READABLE, effect.again
            )
        except PermissionError:  # a file, which is always ready
            self._resume(task, True)
            return
        except OSError as error:
            if not is_shortage(error):
                raise
            self._shortage.tell(error)
            later = Task(_ready_later(effect), partial(self._resume, task))
            self._runnable.append((later, None, None))
            return
        self._waits[effect.fd] = wait
        if effect.seconds is not None:
            self._wait_until(wait, effect.seconds)

    def _watch_once(self, fd: int, events: int, is_known: bool) -> None:  # noqa: FBT001
        # It is unregistered by what closes it; most are waited for only once.
        if is_known:
            try:
                return self._epoll.modify(fd, events)
            except FileNotFoundError:  # a sole wait, or one that was too long
                pass
        try:
            self._epoll.register(fd, events)
        except FileExistsError:
            self._epoll.modify(fd, events)

    def _wait_until(self, wait: Wait, seconds: float) -> None:
        if len(self._timers) >= self._most_timers:
            self._drop_timers()
        self._timer_number += 1
        when = time.monotonic() + seconds
        heapq.heappush(self._timers, (when, self._timer_number, wait))

    def _drop_timers(self) -> None:
        """Forget those that are over, of which most last for ipc_timeout."""
        self._timers = [timer for timer in self._timers if not timer[2].is_over]
        heapq.heapify(self._timers)
        self._most_timers = 2 * len(self._timers) + _MANY_TIMERS

    def _end_wait(
        self, wait: Wait, answer: Any = None, error: BaseException | None = None
    ) -> None:
        wait.is_over = True
        if wait.fd >= 0:
            del self._waits[wait.fd]
            self._ignore(wait.fd)
        self._resume(wait.task, answer, error)

    def _ignore(self, fd: int) -> None:
        with suppress(OSError):  # the descriptor may be of no use any more
            self._epoll.unregister(fd)

    def _rest_seconds(self, until: float | None) -> float | None:
        """How long to wait for events; timers that are over are dropped."""
        timers = self._timers
        while timers and timers[0][2].is_over:
            heapq.heappop(timers)
        if timers and (until is None or timers[0][0] < until):
            until = timers[0][0]
        if until is None:
            return None
        return min(max(0.0, until - time.monotonic()), MOST_REST_SECONDS)

    def _wait_for_events(self, seconds: float | None) -> None:
        """Wait for events, and resume what waited for them."""
        self._poll(seconds)
        while self._timers and self._timers[0][0] <= time.monotonic():
            wait = heapq.heappop(self._timers)[2]
            if not wait.is_over:
                self._end_wait(wait, False)

    def _poll(self, seconds: float | None) -> bool:
        """Wait for descriptors, and resume what waited for them; False if none did."""
        if seconds == 0:
            events = self._epoll.poll(0)
        else:
            began = time.monotonic()
            events = self._epoll.poll(seconds)
            self.rested_seconds += time.monotonic() - began
        for fd, _ in events:
            wait = self._waits.pop(fd, None)
            if wait is not None:
                wait.is_over = True
                self._resume(wait.task, True)
            elif fd in self._watchers:
                self._watchers[fd]()
        return bool(self._runnable)


def _ready_later(effect: Ready) -> Steps[bool]:
    """Wait for a descriptor that the kernel cannot watch now."""
    yield Pause(AGAIN_SECONDS, can_be_cut_short=True)
    seconds = effect.seconds
    if seconds is not None:
        seconds -= AGAIN_SECONDS
        if seconds <= 0:
            return False
    is_ready: bool = yield effect.within(seconds)
    return is_ready
