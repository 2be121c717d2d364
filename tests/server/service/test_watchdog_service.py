"""The watchdog process as a service: it goes on whatever happens to its workers."""

from __future__ import annotations

import errno
import heapq
import itertools
import os
import signal
import time
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from postvirt.server import workload
from postvirt.server.loop import CHILD_SIGNALS, Loop
from postvirt.server.metrics.scoreboard import Reason
from postvirt.server.watchdog import Watchdog
from postvirt.server.worker_protocol import Leave, Parent
from postvirt.system import log, processors
from tests.harness.child import Log, in_child, open_descriptors
from tests.harness.jobs import Jobs, Work

# In server.loop: when, a number, what is called.
Timer = tuple[float, int, Callable[[], None]]

# A worker ends by itself, should its watchdog process have been ended by force.
PATIENCE_SECONDS = 20

TOO_MANY = "Resource temporarily unavailable"


def serve(parent: Parent) -> Leave:
    """Accept clients until somebody says otherwise, as a worker does."""
    parent.slot.accepts = True
    parent.say_ready()
    came = signal.sigtimedwait(CHILD_SIGNALS, PATIENCE_SECONDS)
    assert came is not None
    return Leave.REPLACE if came.si_signo == signal.SIGHUP else Leave.FOR_GOOD


def serve_somebody(parent: Parent) -> Leave:
    parent.slot.begin()
    parent.slot.end()
    return serve(parent)


def die(parent: Parent) -> NoReturn:
    os._exit(1)


class Play:
    """A service in a child, whose workers do what `works` says, the last one again."""

    def __init__(
        self, *works: Work, count: int = 1, is_service: bool = True, **options: Any
    ) -> None:
        self.lines = Log()
        log.start(self.lines)
        self.started = 0
        self._works = list(works)
        self.loop = Loop()
        self.jobs = Jobs(self._next)
        self.watchdog = Watchdog(
            self.loop, self.jobs, count=count, is_service=is_service, **options
        )

    def _next(self) -> Work:
        self.started += 1
        return self._works[min(self.started, len(self._works)) - 1]


def play(story: Callable[[], object]) -> Any:
    def run() -> object:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(PATIENCE_SECONDS)  # instead of waiting for ever
        return story()

    return in_child(run)


def stop(one: Play) -> None:
    one.watchdog.stop()


def pids(watchdog: Watchdog) -> list[int]:
    return [state.pid for state in watchdog.workers()]


def test_as_many_workers_accept_as_wanted_until_it_is_stopped() -> None:
    def story() -> object:
        seen = []

        def ready() -> None:
            seen.append(len(pids(one.watchdog)))
            one.watchdog.stop()

        one = Play(serve, count=3, on_ready=ready)
        return one.watchdog.run(), seen, pids(one.watchdog), one.lines.lines

    assert play(story) == (0, [3], [], [])


def test_new_workers_are_there_before_the_old_ones_leave() -> None:
    def story() -> object:
        seen: list[list[int]] = []

        def ready() -> None:
            seen.append(pids(one.watchdog))
            if len(seen) == 1:
                one.watchdog.retire_workers(Reason.RELOAD, at_once=False)
                one.watchdog.start_workers()
                for worker in one.watchdog.workers():
                    assert not worker.slot.is_dismissed
            else:
                one.loop.call_after(0, check)

        def check() -> None:
            left = set(pids(one.watchdog)) & set(seen[0])
            if left:
                one.loop.call_after(0.01, check)
            else:
                one.watchdog.stop()

        one = Play(serve, count=2, on_ready=ready)
        one.watchdog.run()
        return len(seen), len(set(seen[1]) - set(seen[0])), one.started

    assert play(story) == (2, 2, 4)


def work_hard(parent: Parent) -> Leave:
    """Have two clients all the time."""
    parent.slot.begin()
    parent.slot.begin()
    parent.ask_for_watch()
    parent.slot.accepts = True
    parent.say_ready()
    began = time.monotonic()
    while (came := signal.sigtimedwait(CHILD_SIGNALS, 0.05)) is None:
        parent.slot.beat()
        assert time.monotonic() < began + PATIENCE_SECONDS
    return Leave.REPLACE if came.si_signo == signal.SIGHUP else Leave.FOR_GOOD


def test_there_are_as_many_workers_as_the_work_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first is busy, then both; then there is little to do."""
    monkeypatch.setattr(workload, "_LOOKS_TO_SHRINK", 2)

    def story() -> object:
        seen: list[int] = []

        def look() -> None:
            if 2 not in seen:
                for worker in one.watchdog.workers():
                    worker.slot.work(1.0)
            count = len(pids(one.watchdog))
            if not seen or seen[-1] != count:
                seen.append(count)
            if count == 2:
                one.jobs.most = 2
            if seen == [1, 2, 1]:
                one.watchdog.stop()
            else:
                one.loop.call_after(0.01, look)

        idle = itertools.count(0, 10)
        monkeypatch.setattr(processors, "idle_seconds", lambda: next(idle))
        one = Play(work_hard)
        one.loop.call_after(0, look)
        return one.watchdog.run(), seen, one.lines.lines

    assert play(story) == (0, [1, 2, 1], [])


def test_under_master_a_further_worker_is_not_what_the_first_depends_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There may be no process left for it, just when the machine is busy."""

    def story() -> object:
        fork = os.fork
        tries = 0

        def fork_once() -> int:
            nonlocal tries
            tries += 1
            if tries == 1:
                return fork()
            one.loop.call_after(0, one.watchdog.stop)
            raise BlockingIOError(errno.EAGAIN, TOO_MANY)

        monkeypatch.setattr("os.fork", fork_once)
        monkeypatch.setattr(workload.Workload, "change", lambda *_: 1)
        one = Play(work_hard, is_service=False)
        return one.watchdog.run(), len(pids(one.watchdog)), one.lines.lines

    warning = f"warning: fork: {TOO_MANY}: no further worker process now"
    assert play(story) == (0, 0, [warning])


def test_old_workers_can_be_told_to_leave_first() -> None:
    def story() -> object:
        order: list[object] = []

        def ready() -> None:
            if order:
                one.watchdog.stop()
                return
            slots = [worker.slot for worker in one.watchdog.workers()]

            one.watchdog.retire_workers(Reason.CHANGED_TABLE, at_once=True)
            order.append(([slot.is_dismissed for slot in slots], one.started))
            one.watchdog.start_workers()

        one = Play(serve, count=2, on_ready=ready)
        one.watchdog.run()
        return order, one.started

    assert play(story) == ([([True, True], 2)], 4)


def kill_itself(parent: Parent) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize(
    ("fail", "reason"), [(die, Reason.DIED), (kill_itself, Reason.KILLED)]
)
def test_old_workers_go_on_until_a_new_one_works(fail: Work, reason: Reason) -> None:
    def story() -> object:
        failures: list[object] = []

        def ready() -> None:
            if failures:
                one.loop.call_after(0, check)
            else:
                old.extend(one.watchdog.workers())
                one.watchdog.retire_workers(Reason.RELOAD, at_once=False)
                one.watchdog.start_workers()

        def take_failure(reason: Reason) -> None:
            failures.append((reason, [worker.slot.is_dismissed for worker in old]))

        def check() -> None:
            if set(pids(one.watchdog)) & {worker.pid for worker in old}:
                one.loop.call_after(0.01, check)
            else:
                one.watchdog.stop()

        old: list[Any] = []
        one = Play(serve, fail, serve, on_ready=ready, on_failure=take_failure)
        one.watchdog.run()
        return failures, one.started

    assert play(story) == ([(reason, [False])], 3)


def test_a_second_replacement_does_not_forget_the_oldest() -> None:
    """The workers in between never worked: nobody tells the oldest to make room."""

    def story() -> object:
        def never_ready(parent: Parent) -> Leave:
            signal.sigwait(CHILD_SIGNALS)
            return Leave.REPLACE

        def ready() -> None:
            if one.started == 1:
                old.extend(one.watchdog.workers())
                one.watchdog.retire_workers(Reason.RELOAD, at_once=False)
                one.watchdog.start_workers()
                assert not old[0].slot.is_dismissed
                one.watchdog.retire_workers(Reason.CHANGED_TABLE, at_once=True)
                seen.extend(worker.slot.is_dismissed for worker in old)
                one.watchdog.start_workers()
            else:
                one.watchdog.stop()

        seen: list[bool] = []
        old: list[Any] = []
        one = Play(serve, never_ready, serve, on_ready=ready)
        one.watchdog.run()
        return seen, one.started

    assert play(story) == ([True], 3)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_ends_is_replaced_at_once(number: signal.Signals) -> None:
    def story() -> object:
        def ready() -> None:
            if one.started == 6:
                one.watchdog.stop()
            else:
                os.kill(pids(one.watchdog)[0], number)

        one = Play(serve_somebody, on_ready=ready)
        return one.watchdog.run() in (0, 1), one.started, len(one.lines.lines)

    assert play(story) == (True, 6, 5 if number == signal.SIGKILL else 0)


def test_workers_that_die_at_once_are_replaced_more_and_more_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def story() -> object:
        pauses: list[float] = []
        one = Play(die)

        def push(_: object, timer: Timer) -> None:
            pauses.append(round(timer[0] - time.monotonic()))
            if len(pauses) == 9:
                one.watchdog.stop()
            else:
                timer[2]()

        monkeypatch.setattr(heapq, "heappush", push)
        one.watchdog.run()
        return pauses, one.started, one.lines.lines[0].partition(" died ")[2]

    pauses, started, line = play(story)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert started == 10
    assert line == (
        "before it served a client, as did 1 before it: next one in 1 seconds"
    )


def test_many_that_die_together_count_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def story() -> object:
        pauses: list[float] = []
        ends: list[Callable[[], None]] = []
        one = Play(die, count=3)
        push = heapq.heappush

        def pause(timers: list[Timer], timer: Timer) -> None:
            if timer[2] is wait:
                push(timers, timer)
                return
            pauses.append(round(timer[0] - time.monotonic()))
            ends.append(timer[2])
            one.loop.call_after(0, wait)

        def wait() -> None:
            if pids(one.watchdog):
                one.loop.call_after(0.01, wait)
            elif len(pauses) == 4:
                one.watchdog.stop()
            else:
                ends.pop()()

        monkeypatch.setattr(heapq, "heappush", pause)
        one.watchdog.run()
        return pauses, one.started

    # The first of them is replaced at once.
    assert play(story) == ([1, 2, 4, 8], 3 + 1 + 3 * 3)


def test_a_pause_ends_and_a_worker_that_works_ends_the_damping() -> None:
    def story() -> object:
        began = time.monotonic()

        def ready() -> None:
            one.watchdog.stop()

        one = Play(die, die, serve, on_ready=ready)
        one.watchdog.run()
        return one.started, 1 <= time.monotonic() - began < 10

    assert play(story) == (3, True)


def test_without_a_process_to_spare_it_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def story() -> object:
        one: Play = Play(serve, on_ready=lambda: stop(one))
        before = open_descriptors()
        fork = os.fork
        failing = iter([True, False])

        def fork_later() -> int:
            if next(failing, False):
                raise BlockingIOError(errno.EAGAIN, TOO_MANY)
            return fork()

        monkeypatch.setattr("postvirt.server.loop.os.fork", fork_later)
        status = one.watchdog.run()
        return status, one.lines.lines, open_descriptors() == before

    assert play(story) == (
        0,
        ["error: fork: " + TOO_MANY + ": next worker process in 1 seconds"],
        True,
    )


@pytest.mark.timed
def test_no_descriptor_and_no_zombie_stays() -> None:
    def story() -> object:
        counts: set[int] = set()

        def ready() -> None:
            # Whoever was replaced may not have been waited for yet.
            one.loop.call_after(0, look)

        def look() -> None:
            if len(pids(one.watchdog)) > 2:
                one.loop.call_after(0.01, look)
                return
            counts.add(len(open_descriptors()))
            with open(f"/proc/self/task/{os.getpid()}/children") as children:
                assert len(children.read().split()) == 2
            if one.started < 40:
                one.watchdog.retire_workers(Reason.RELOAD, at_once=False)
                one.watchdog.start_workers()
            else:
                one.watchdog.stop()

        one = Play(serve, count=2, on_ready=ready)
        one.watchdog.run()
        return len(counts)

    assert play(story) == 1


def test_workers_have_none_of_its_own_descriptors() -> None:
    def story() -> object:
        reads, writes = os.pipe()
        kept = os.dup(writes)

        def look(parent: Parent) -> Leave:
            with open(writes, "w") as report:
                report.write(" ".join(sorted(open_descriptors())))
            return serve(parent)

        one: Play = Play(look, on_ready=lambda: stop(one))
        source = os.dup(reads)
        one.loop.add_source(source, lambda: None)
        one.loop.keep(kept)
        one.watchdog.run()
        os.close(writes)
        os.close(kept)
        with open(reads) as report:
            theirs = report.read().split()
        return str(source) in theirs, str(kept) in theirs, str(writes) in theirs

    assert play(story) == (False, False, True)


def test_all_workers_can_be_killed() -> None:
    def story() -> object:
        def deaf(parent: Parent) -> Leave:
            parent.say_ready()
            while signal.sigtimedwait(CHILD_SIGNALS, PATIENCE_SECONDS):
                pass
            return Leave.FOR_GOOD

        def ready() -> None:
            one.watchdog.stop()
            one.loop.call_after(0, lambda: killed.extend(one.watchdog.kill_workers()))

        killed: list[int] = []
        one = Play(deaf, count=2, on_ready=ready)
        one.watchdog.run()
        return len(killed)

    assert play(story) == 2
