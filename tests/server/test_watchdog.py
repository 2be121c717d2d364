from __future__ import annotations

import errno
import faulthandler
import os
import re
import resource
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from postvirt.errors import ConfigError
from postvirt.server.loop import CHILD_SIGNALS
from postvirt.server.watchdog import watch
from postvirt.server.worker_protocol import Leave, Parent
from postvirt.system import log
from tests.harness.child import exit_status_of, in_child, open_descriptors
from tests.harness.jobs import Jobs

Work = Callable[[Parent], Leave]


@dataclass(frozen=True, slots=True)
class End:
    """How a watchdog process came to its end; lines are those of all processes."""

    status: int
    lines: list[str]
    workers: int


def run(*works: Work) -> End:
    """Watch workers that do this work, one after the other."""
    reads, writes = os.pipe()

    def note(severity: str, line: bytes) -> None:
        os.write(writes, (f"{severity}: " if severity else "").encode() + line + b"\n")

    def work() -> tuple[int, int]:
        log.start(note)
        job = Jobs(iter(works).__next__)
        try:
            return watch(job), job.prepared
        except SystemExit as end:  # log.fatal
            return int(end.code or 0), job.prepared

    try:
        status, count = in_child(work)
    finally:
        os.close(writes)
        with open(reads, encoding="utf-8") as file:
            lines = file.read().splitlines()
    return End(status, lines, count)


def leave(_: Parent) -> Leave:
    return Leave.FOR_GOOD


def replace(_: Parent) -> Leave:
    return Leave.REPLACE


def test_a_worker_that_leaves_for_good_ends_the_watchdog() -> None:
    assert run(leave) == End(0, [], 1)


def test_a_worker_that_wants_to_be_replaced_is_replaced() -> None:
    """However fast they leave: no end is missed, and none counts twice."""
    assert run(*[replace] * 100, leave) == End(0, [], 101)


def fail(_: Parent) -> Leave:
    raise RuntimeError("boom")


def interrupt(_: Parent) -> Leave:
    raise KeyboardInterrupt


def fatal(_: Parent) -> Leave:
    log.fatal("cannot go on")


def exit_with_3(_: Parent) -> Leave:
    raise SystemExit(3)


def exit_with_text(_: Parent) -> Leave:
    raise SystemExit("text")


@pytest.mark.parametrize(
    ("work", "status", "lines"),
    [
        (fail, 1, ["error: unexpected RuntimeError: boom; please report"]),
        (interrupt, 1, ["error: unexpected KeyboardInterrupt: ; please report"]),
        (fatal, 1, ["fatal: cannot go on"]),
        (exit_with_3, 3, []),
        (exit_with_text, 1, []),
    ],
)
def test_a_worker_that_fails_makes_the_watchdog_fail(
    work: Work, status: int, lines: list[str]
) -> None:
    assert run(work) == End(status, lines, 1)
    assert run(replace, work) == End(status, lines, 2)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_worker_that_is_killed_is_reported(number: signal.Signals) -> None:
    pids = os.pipe()

    def die(_: Parent) -> Leave:
        os.write(pids[1], b"%d" % os.getpid())
        faulthandler.disable()  # pytest's; it would print where this happens
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), number)
        return Leave.FOR_GOOD

    end = run(die)
    pid = int(os.read(pids[0], 100))
    for fd in pids:
        os.close(fd)
    line = f"warning: worker process {pid} killed by signal {int(number)}"
    assert end == End(1, [line], 1)


def test_a_worker_that_says_nonsense_is_killed() -> None:
    def rave(parent: Parent) -> Leave:
        os.write(parent.words_fd, b"x")
        signal.pause()
        return Leave.FOR_GOOD

    end = run(rave)
    assert [re.sub(r"\d+", "N", line, count=1) for line in end.lines] == [
        "warning: worker process N says nonsense: killed",
        "warning: worker process N killed by signal 9",
    ]


_NO_FORK = "fork: Resource temporarily unavailable"
_NEXT_TRY = f"warning: {_NO_FORK}: trying again when the worker process leaves"


@pytest.mark.parametrize(
    ("failures", "end"),
    [
        (1, End(0, [_NEXT_TRY], 3)),
        (2, End(1, [_NEXT_TRY, f"fatal: {_NO_FORK}"], 3)),
    ],
)
def test_a_worker_goes_on_while_there_can_be_no_successor(
    monkeypatch: pytest.MonkeyPatch, failures: int, end: End
) -> None:
    """It asks early, and once more when it leaves; then it is serious."""
    fork = os.fork
    forks = 0

    def fork_or_fail() -> int:
        nonlocal forks
        forks += 1
        # The first makes the watchdog process, the second its first worker.
        if 2 < forks <= 2 + failures:
            raise BlockingIOError(errno.EAGAIN, "")
        return fork()

    def ask_twice(parent: Parent) -> Leave:
        parent.ask_for_successor()
        parent.ask_for_another()
        return Leave.REPLACE

    monkeypatch.setattr("os.fork", fork_or_fail)
    assert run(ask_twice, leave, leave) == end


def short(_: Parent) -> Leave:
    raise OSError(errno.EMFILE, "")


def test_a_worker_goes_on_while_its_successor_is_short_of_something() -> None:
    reads, writes = os.pipe()

    def ask_until_there_is_one(parent: Parent) -> Leave:
        while not select.select([reads], [], [], 0.01)[0]:
            parent.ask_for_successor()
        return Leave.REPLACE

    def succeed(parent: Parent) -> Leave:
        os.write(writes, b"x")
        parent.say_ready()
        return Leave.FOR_GOOD

    end = run(ask_until_there_is_one, short, succeed)
    os.close(reads)
    os.close(writes)
    assert (end.status, end.workers) == (0, 3)
    again = "trying again when the worker process leaves"
    assert [re.sub(r"\d+", "N", line) for line in end.lines] == [
        "error: worker process: Too many open files",
        f"warning: worker process N could not go on: {again}",
    ]


def test_when_no_worker_can_go_on_master_sees_it() -> None:
    end = run(replace, short)
    assert end == End(79, ["error: worker process: Too many open files"], 2)


def test_sigterm_is_passed_on_and_the_worker_waited_for() -> None:
    def work(_: Parent) -> Leave:
        os.kill(os.getppid(), signal.SIGTERM)
        assert signal.sigwait({signal.SIGTERM}) == signal.SIGTERM
        return Leave.FOR_GOOD

    assert run(work) == End(0, [], 1)


def test_after_sigterm_nobody_is_replaced() -> None:
    def work(_: Parent) -> Leave:
        os.kill(os.getppid(), signal.SIGTERM)
        assert signal.sigwait({signal.SIGTERM}) == signal.SIGTERM
        return Leave.REPLACE

    assert run(work) == End(0, [], 1)


def test_a_worker_that_dies_of_sigterm_is_no_failure_then() -> None:
    def work(_: Parent) -> Leave:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.kill(os.getppid(), signal.SIGTERM)
        while True:
            signal.pause()

    end = run(work)
    (line,) = end.lines
    assert line.endswith("killed by signal 15")
    assert end.status == 0


def test_a_failure_after_sigterm_is_still_a_failure() -> None:
    def work(_: Parent) -> Leave:
        os.kill(os.getppid(), signal.SIGTERM)
        signal.sigwait({signal.SIGTERM})
        raise RuntimeError("boom")

    assert run(work).status == 1


def test_sigterm_that_comes_while_a_worker_is_prepared_is_not_lost() -> None:
    def work() -> int:
        def next_worker() -> Work:
            os.kill(os.getpid(), signal.SIGTERM)
            return wait

        def wait(_: Parent) -> Leave:
            assert signal.sigwait({signal.SIGTERM}) == signal.SIGTERM
            return Leave.REPLACE

        # The first worker starts without; the signal comes before the second.
        first: Iterator[Work] = iter([replace])
        return watch(Jobs(lambda: next(first, None) or next_worker()))

    assert in_child(work) == 0


def test_the_worker_sees_the_end_of_children_and_waits_with_sigterm() -> None:
    def work(_: Parent) -> Leave:
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set(CHILD_SIGNALS)
        return Leave.FOR_GOOD

    assert run(work) == End(0, [], 1)


def test_the_lifeline_is_open_as_long_as_the_watchdog_lives() -> None:
    def work(parent: Parent) -> Leave:
        (lifeline,) = parent.lifelines
        assert not os.get_inheritable(lifeline)
        assert not select.select([lifeline], [], [], 0)[0]
        return Leave.FOR_GOOD

    assert run(work) == End(0, [], 1)


def test_no_worker_gets_more_descriptors_than_the_first() -> None:
    seen = os.pipe()

    def work(parent: Parent) -> Leave:
        os.write(seen[1], f"{parent.lifelines} {len(open_descriptors())}\n".encode())
        return Leave.REPLACE

    run(work, work, work, leave)
    os.close(seen[1])
    with open(seen[0], encoding="ascii") as file:
        assert len(set(file.read().splitlines())) == 1


def test_a_worker_that_asks_has_a_successor_while_it_goes_on() -> None:
    """It may ask more than once, and then leave as it likes: there is only one."""
    reads, writes = os.pipe()

    def first(parent: Parent) -> Leave:
        parent.ask_for_another()
        parent.ask_for_another()
        assert os.read(reads, 1) == b"x"  # from its successor
        return Leave.REPLACE

    def second(_: Parent) -> Leave:
        os.write(writes, b"x")
        return Leave.FOR_GOOD

    assert run(first, second) == End(0, [], 2)
    os.close(reads)
    os.close(writes)


def test_the_watchdog_stays_until_the_last_worker_has_left() -> None:
    pids, words = os.pipe(), os.pipe()

    def first(parent: Parent) -> Leave:
        parent.ask_for_another()
        with suppress(ProcessLookupError):
            pidfd = os.pidfd_open(int(os.read(pids[0], 10)))
            assert select.select([pidfd], [], [], 20)[0]
        os.write(words[1], b"first")
        return Leave.REPLACE

    def second(_: Parent) -> Leave:
        os.write(pids[1], b"%d" % os.getpid())
        return Leave.FOR_GOOD

    assert run(first, second) == End(0, [], 2)
    assert os.read(words[0], 10) == b"first"
    for fd in (*pids, *words):
        os.close(fd)


@pytest.mark.parametrize("asks", [True, False])
def test_a_worker_that_crashes_is_a_failure_unless_another_accepts(asks: bool) -> None:
    reads, writes = os.pipe()

    def first(parent: Parent) -> Leave:
        if asks:
            parent.ask_for_another()
            os.read(reads, 1)
        raise RuntimeError("boom")

    def second(_: Parent) -> Leave:
        os.write(writes, b"x")
        return Leave.FOR_GOOD

    end = run(first, second)
    assert end.status == (0 if asks else 1)
    assert end.lines == ["error: unexpected RuntimeError: boom; please report"]
    assert end.workers == 1 + asks
    os.close(reads)
    os.close(writes)


def test_a_worker_that_stands_still_is_reported() -> None:
    def work(_: Parent) -> Leave:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        while True:
            pass

    end = run(work)
    (line,) = end.lines
    assert re.fullmatch(
        r"warning: worker process \d+ made no progress for daemon_timeout: killed", line
    )
    assert end.status == 1


def test_sigterm_reaches_every_worker() -> None:
    told = os.pipe()

    def old(parent: Parent) -> Leave:
        parent.ask_for_another()
        signal.sigwait({signal.SIGTERM})
        os.write(told[1], b"x")
        return Leave.REPLACE

    def new(_: Parent) -> Leave:
        os.kill(os.getppid(), signal.SIGTERM)
        signal.sigwait({signal.SIGTERM})
        os.write(told[1], b"x")
        return Leave.FOR_GOOD

    assert run(old, new) == End(0, [], 2)
    assert os.read(told[0], 10) == b"xx"
    for fd in told:
        os.close(fd)


def test_a_worker_whose_watchdog_is_gone_may_ask_all_the_same() -> None:
    result = os.pipe()

    def work(parent: Parent) -> Leave:
        os.kill(os.getppid(), signal.SIGKILL)
        (lifeline,) = parent.lifelines
        os.read(lifeline, 1)
        parent.ask_for_another()
        os.write(result[1], b"still here")
        return Leave.REPLACE

    assert exit_status_of(lambda: watch(Jobs(lambda: work))) == -signal.SIGKILL
    assert os.read(result[0], 100) == b"still here"
    for fd in result:
        os.close(fd)


def test_a_configuration_that_cannot_be_used_goes_up() -> None:
    def work() -> str:
        workers: Iterator[Work] = iter([replace])

        def next_worker() -> Work:
            found = next(workers, None)
            if found is None:
                raise ConfigError("broken meanwhile")
            return found

        with pytest.raises(ConfigError) as caught:
            watch(Jobs(next_worker))
        return caught.value.text

    assert in_child(work) == "broken meanwhile"


def test_an_ignored_sigchld_does_not_matter() -> None:
    def work() -> int:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(3)  # instead of waiting for ever
        leaves: Iterator[Leave] = iter((Leave.REPLACE, Leave.FOR_GOOD))

        def next_worker() -> Work:
            leave = next(leaves)
            return lambda _: leave

        return watch(Jobs(next_worker))

    assert in_child(work) == 0
