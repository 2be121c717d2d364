from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from postvirt.codec.announcement import DELIVERY_STATUS
from postvirt.engine.batches import MOST_BATCHED
from postvirt.engine.engine import MOST_BRANCHES, Engine
from postvirt.model.effects import (
    Batch,
    Durable,
    Effect,
    Exchange,
    Pause,
    Ready,
    Steps,
    Together,
    Written,
)
from postvirt.standin.instance import Instance
from postvirt.standin.services import Behaviour, Services
from postvirt.system.directories import open_directory
from tests.harness.background import Background
from tests.harness.child import Log, in_child
from tests.harness.effort import steps_of
from tests.harness.file_systems import leave_the_mounts_of_the_others, tmpfs

LONG_SECONDS = 3600.0
NO_FD = 1_000_000


@pytest.fixture
def engine() -> Engine:
    return Engine(1.0)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def steps(*effects: Effect) -> Steps[list[object]]:
    answers: list[object] = []
    for effect in effects:
        answer = yield effect
        answers.append(None if isinstance(effect, Pause) else answer)
    return answers


def caught(effect: Effect) -> Steps[str]:
    """The name of the exception that comes of an effect."""
    try:
        yield effect
    except Exception as error:
        yield Pause(0)  # whoever catches it may go on
        return type(error).__name__
    return "nothing"


def fails(error: Exception, *effects: Effect) -> Steps[None]:
    yield from steps(*effects)
    raise error


def open_file(directory: Path, stack: ExitStack) -> tuple[Written, Durable]:
    fd = os.open(directory / "file", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    stack.callback(os.close, fd)
    parent = open_directory(os.fsencode(directory))
    assert parent is not None
    stack.callback(os.close, parent.fd)
    os.write(fd, b"mail")
    device = os.fstat(fd).st_dev
    return Written(fd, device), Durable(fd, device, False, directories=(parent,))


def test_steps_without_effects_have_a_result(engine: Engine) -> None:
    assert engine.run(steps()) == []
    assert engine.clients == 0


def test_a_file_is_written_out_and_committed(engine: Engine, tmp_path: Path) -> None:
    with ExitStack() as stack:
        written, durable = open_file(tmp_path, stack)
        (has_its_names, nothing) = engine.run(steps(written, durable)) or []
        assert isinstance(has_its_names, bool)
        assert nothing is None


def test_an_error_is_thrown_where_the_effect_was_yielded(engine: Engine) -> None:
    assert engine.run(caught(Written(NO_FD, 0))) == "OSError"
    assert engine.run(caught(Durable(NO_FD, 0, True))) == "OSError"


def test_what_a_client_raises_goes_up_and_its_steps_are_closed(engine: Engine) -> None:
    cleaned = []

    def careless() -> Steps[None]:
        try:
            yield Written(NO_FD, 0)
        finally:
            cleaned.append("cleaned up")

    with pytest.raises(OSError, match="Bad file descriptor"):
        engine.run(careless())
    assert cleaned == ["cleaned up"]
    assert engine.clients == 0
    assert engine.run(steps()) == []  # it can go on


def test_a_pause_is_as_long_as_it_is(engine: Engine) -> None:
    begin = time.monotonic()
    assert engine.run(steps(Pause(0.05), Pause(0))) == [None, None]
    assert 0.05 <= time.monotonic() - begin < LONG_SECONDS


def test_pauses_end_in_their_order_whoever_began_first(engine: Engine) -> None:
    order = []

    def wait(seconds: float) -> Steps[None]:
        yield Pause(seconds)
        order.append(seconds)

    engine.run(steps(Together([wait(0.03), wait(0.01), wait(0.02)])))
    assert order == [0.01, 0.02, 0.03]


def test_a_descriptor_that_is_readable(engine: Engine, pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    os.write(writes, b"x")
    assert engine.run(steps(Ready(reads, None), Ready(reads, LONG_SECONDS))) == (
        [True, True]
    )
    assert engine.run(steps(Ready(writes, None, writes=True))) == [True]


def test_a_descriptor_that_becomes_readable(
    engine: Engine, pipe: tuple[int, int]
) -> None:
    reads, writes = pipe

    def tell() -> Steps[None]:
        yield Pause(0.01)
        os.write(writes, b"x")

    branches = Together([steps(Ready(reads, LONG_SECONDS)), tell()])
    assert engine.run(steps(branches)) == [[[True], None]]


def test_a_descriptor_that_does_not_become_readable_in_time(
    engine: Engine, pipe: tuple[int, int]
) -> None:
    reads, writes = pipe
    assert engine.run(steps(Ready(reads, 0.01), Ready(reads, 0))) == [False, False]
    os.write(writes, b"x")
    assert engine.run(steps(Ready(reads, 0.01))) == [True]


def test_the_end_of_a_peer_can_be_read(engine: Engine) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        assert engine.run(steps(Ready(ours.fileno(), None))) == [True]


def test_a_file_can_always_be_read(engine: Engine, tmp_path: Path) -> None:
    """Standard input may be one, or /dev/null."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", Path("/dev/null")):
        with path.open("rb") as file:
            assert engine.run(steps(Ready(file.fileno(), None))) == [True]


@pytest.mark.parametrize(
    ("behaviour", "answer"),
    [
        (Behaviour(), 0),
        (Behaviour(status=-1), -1),
        (Behaviour(status=4), 4),
        (Behaviour(is_down=True), None),
        (Behaviour(answer=b"", hangs_up=True), None),
        (Behaviour(protocol=b"other"), None),
    ],
)
def test_a_service_is_asked_and_its_answer_sent_in(
    engine: Engine,
    instance: Instance,
    monkeypatch: pytest.MonkeyPatch,
    logged: Log,
    behaviour: Behaviour,
    answer: int | None,
) -> None:
    monkeypatch.chdir(instance.spool)
    services = Services(instance.spool, {"private/bounce": behaviour})
    request = b"name\0value\0\0"
    try:
        effect = Exchange("private/bounce", DELIVERY_STATUS, request)
        assert engine.run(steps(effect)) == [answer]
    finally:
        services.stop()
    asked = [one.raw for one in services.requests]
    assert asked == ([] if behaviour.is_down or behaviour.protocol else [request])
    assert bool(logged.lines) == (answer is None)


def test_services_that_wait_in_silence_are_asked_at_once(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(instance.spool)
    services = Services(instance.spool, {"private/bounce": Behaviour(greeting=b"")})
    engine = Engine(1.0, services_announce=False)
    try:
        effect = Exchange("private/bounce", DELIVERY_STATUS, b"name\0value\0\0")
        assert engine.run(steps(effect)) == [0]
    finally:
        services.stop()


def test_a_slow_service_keeps_nobody_waiting(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers only when everything else has been done."""
    monkeypatch.chdir(instance.spool)
    finished = threading.Event()
    engine = Engine(20.0)

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"protocol\0delivery_status_protocol\0\0")
            connection.recv(100)
            if finished.wait(20):
                connection.sendall(b"status\x000\0\0")

    def others() -> Steps[None]:
        for _ in range(100):
            yield Pause(0)
        finished.set()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("private/slow")
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        effect = Exchange("private/slow", DELIVERY_STATUS, b"a\0b\0\0")
        answers = engine.run(steps(Together([steps(effect), others()])))
        thread.join()
    assert answers == [[[0], None]]


def test_ways_have_their_results_in_order(engine: Engine) -> None:
    branches = [steps(Pause(seconds)) for seconds in (0.02, 0.0, 0.01)]
    branches.append(steps())
    assert engine.run(steps(Together(branches))) == [[[None], [None], [None], []]]


def test_all_ways_come_to_their_end_when_one_fails(engine: Engine) -> None:
    ended = []

    def way(number: int) -> Steps[None]:
        yield Pause(0.01 * number)
        ended.append(number)

    branches = [way(1), fails(KeyError("first"), Pause(0)), fails(ValueError()), way(2)]
    assert engine.run(caught(Together(branches))) == "ValueError"  # that came first
    assert ended == [1, 2]


@pytest.mark.parametrize("count", [MOST_BRANCHES, MOST_BRANCHES * 2 + 7])
def test_so_many_ways_are_gone_at_once_and_no_more(engine: Engine, count: int) -> None:
    """Whatever the number of clients that they belong to."""
    under_way = most = 0
    order = []

    def way(number: int) -> Steps[int]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        order.append(number)
        yield Pause(0)
        under_way -= 1
        return number

    ends: list[object] = []
    for first in range(0, count, 50):
        numbers = range(first, min(first + 50, count))
        engine.start(steps(Together([way(one) for one in numbers])), ends.append)
    while engine.clients:
        engine.turn(None)
    assert most == MOST_BRANCHES
    assert order == list(range(count))
    assert sum(len(end[0]) for end in ends) == count  # type: ignore[index, misc]


class Work:
    """What is done jointly: notes each group; an item that is an exception fails."""

    def __init__(self, *effects: Effect) -> None:
        self.groups: list[list[object]] = []
        self._effects = effects

    def __call__(self, items: Sequence[Any]) -> Steps[Sequence[Any]]:
        self.groups.append(list(items))
        yield from steps(*self._effects)
        return list(items)


def test_things_with_one_key_are_done_together(engine: Engine) -> None:
    work = Work(Pause(0))
    batched = [steps(Batch("key", number, work)) for number in range(3)]
    batched.append(steps(Batch("other", 3, work)))
    assert engine.run(steps(Together(batched))) == [[[0], [1], [2], [3]]]
    assert work.groups == [[0, 1, 2], [3]]


def test_what_comes_meanwhile_is_done_next(engine: Engine) -> None:
    """One call at a time is under way for a key."""
    work = Work(Pause(0.02))

    def late(number: int) -> Steps[object]:
        yield Pause(0.01)
        result = yield Batch("key", number, work)
        return result

    branches = [steps(Batch("key", 0, work)), late(1), late(2)]
    assert engine.run(steps(Together(branches))) == [[[0], 1, 2]]
    assert work.groups == [[0], [1, 2]]


def test_of_many_things_some_are_done_at_a_time_in_order(engine: Engine) -> None:
    work = Work(Pause(0))
    count = MOST_BATCHED * 2 + 5
    branches = [steps(Batch("key", number, work)) for number in range(count)]
    engine.run(steps(Together(branches)))
    assert [len(group) for group in work.groups] == [MOST_BATCHED, MOST_BATCHED, 5]
    assert sum(work.groups, []) == list(range(count))  # noqa: RUF017 - three lists


def test_each_thing_has_its_own_error(engine: Engine) -> None:
    work = Work()
    items = [1, KeyError(), 2, ValueError()]
    branches = [caught(Batch("key", item, work)) for item in items]
    assert engine.run(steps(Together(branches))) == [
        ["nothing", "KeyError", "nothing", "ValueError"]
    ]


def test_an_exception_of_the_work_concerns_all_things(engine: Engine) -> None:
    def perform(items: Sequence[Any]) -> Steps[Sequence[Any]]:
        yield Pause(0)
        raise RuntimeError("bug")

    branches = [caught(Batch("key", number, perform)) for number in range(3)]
    assert engine.run(steps(Together(branches))) == [["RuntimeError"] * 3]
    # And the key is free again.
    assert engine.run(steps(Batch("key", 7, Work()))) == [7]


def test_work_that_waits_keeps_no_other_key_waiting(engine: Engine) -> None:
    """As for a lock that is never given up."""
    lock = steps(Batch("locked", 1, Work(Pause(LONG_SECONDS, can_be_cut_short=True))))
    engine.start(lock, lambda _: None)
    for number in range(10):
        work = Work(Pause(0))
        assert engine.run(steps(Batch("free", number, work))) == [number]
    assert engine.clients == 1


def test_timers_that_are_over_do_not_pile_up(
    engine: Engine, pipe: tuple[int, int]
) -> None:
    """As of a thousand answers of a service beside a client that says nothing."""
    engine.start(steps(Ready(pipe[0], LONG_SECONDS)), lambda _: None)
    for _ in range(5000):
        assert engine.run(steps(Ready(pipe[1], LONG_SECONDS, writes=True))) == [True]
    assert len(engine._timers) <= 1001
    os.write(pipe[1], b"x")
    while engine.clients:
        engine.turn(None)


def test_many_keys_with_work_that_waits_cost_the_others_nothing(engine: Engine) -> None:
    """As for many locked mailboxes."""

    def lock(count: int) -> None:
        for number in range(count):
            key = f"locked {count} {number}"
            work = Work(Pause(LONG_SECONDS, can_be_cut_short=True))
            engine.start(steps(Batch(key, 1, work)), lambda _: None)
        free()  # so that they have begun

    def free() -> None:
        engine.run(steps(Batch("free", 1, Work(Pause(0)))))

    lock(1)
    beside_one = steps_of(free)
    lock(200)
    assert steps_of(free) == beside_one


def test_a_client_that_says_nothing_keeps_nobody_waiting(
    engine: Engine, pipe: tuple[int, int]
) -> None:
    engine.start(steps(Ready(pipe[0], None, can_be_abandoned=True)), lambda _: None)
    for _ in range(10):
        assert engine.run(steps(Pause(0), Together([steps(Pause(0))]))) == [
            None,
            [[None]],
        ]
    assert engine.clients == 1


def test_stopping_abandons_what_strangers_may_never_do(
    engine: Engine, pipe: tuple[int, int]
) -> None:
    ends: list[object] = []
    abandoned = Ready(pipe[0], None, can_be_abandoned=True)
    engine.start(steps(abandoned), ends.append)
    other = os.dup(pipe[0])
    engine.start(caught(Ready(other, 60.0, can_be_abandoned=True)), ends.append)
    engine.turn(0)
    engine.stop()
    while engine.clients:
        engine.turn(None)
    assert ends == [None, "StoppingError"]
    os.close(other)
    # From now on nothing of the kind is waited for.
    assert engine.run(steps(abandoned)) is None
    assert engine.run(steps(Together([steps(abandoned)]))) is None


def test_stopping_cuts_pauses_for_strangers_short_and_no_others(
    engine: Engine, pipe: tuple[int, int]
) -> None:
    ends: list[object] = []
    short = Pause(LONG_SECONDS, can_be_cut_short=True)
    begin = time.monotonic()
    engine.start(steps(short, short), ends.append)
    engine.start(steps(Pause(0.05)), ends.append)
    engine.start(steps(Ready(pipe[0], 0.05)), ends.append)
    engine.turn(0)
    engine.stop()
    while engine.clients:
        engine.turn(None)
    assert ends == [[None, None], [None], [False]]
    assert 0.05 <= time.monotonic() - begin < LONG_SECONDS


def test_a_watched_descriptor_calls_back_until_it_is_not_watched_any_more(
    engine: Engine, pipe: tuple[int, int]
) -> None:
    reads, writes = pipe
    calls = []

    def call() -> None:
        calls.append(os.read(reads, 1))
        if len(calls) == 2:
            engine.unwatch(reads)
            engine.unwatch(reads)  # once more means nothing

    engine.watch(reads, call)
    os.write(writes, b"abc")
    for _ in range(5):
        engine.turn(0)
    assert calls == [b"a", b"b"]


def test_a_turn_without_work_waits_until_it_is_time(engine: Engine) -> None:
    engine.unwatch(engine._disks.file_systems.fileno())  # other tests mount some
    begin = time.monotonic()
    engine.turn(begin + 0.05)
    assert 0.05 <= time.monotonic() - begin < LONG_SECONDS
    engine.turn(begin)  # that is over


def wait_until(engine: Engine, is_true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < end
        engine.turn(end)


def test_many_clients_commit_side_by_side(engine: Engine, tmp_path: Path) -> None:
    ends: list[object] = []
    with ExitStack() as stack:
        for number in range(20):
            place = tmp_path / f"{number}"
            place.mkdir()
            engine.start(steps(*open_file(place, stack)), ends.append)
        wait_until(engine, lambda: not engine.clients)
    assert len(ends) == 20
    assert all(isinstance(end, list) and end[1] is None for end in ends)


def test_a_pause_that_is_always_over_does_not_delay_commits(
    engine: Engine, tmp_path: Path
) -> None:
    """As that of a client that counts a large maildir, a little at a time."""
    results: list[object] = []

    def always_busy() -> Steps[None]:
        while not results:
            yield Pause(0)

    with ExitStack() as stack:
        engine.start(always_busy(), lambda _: None)
        engine.start(steps(*open_file(tmp_path, stack)), results.append)
        give_up = time.monotonic() + 10
        while not results and time.monotonic() < give_up:
            engine.turn(None)
        assert results


def test_a_commit_that_fails_in_the_background_is_thrown_too(engine: Engine) -> None:
    """A pipe is no file: the kernel refuses to commit it, one way or the other."""
    reads, writes = os.pipe()
    ends: list[object] = []
    for _ in range(2):
        engine.start(caught(Durable(writes, 1, True)), ends.append)
    wait_until(engine, lambda: not engine.clients)
    assert ends == ["OSError"] * 2
    os.close(reads)
    os.close(writes)


def test_what_cannot_be_waited_for_is_an_error_of_whoever_wants_to(
    engine: Engine,
) -> None:
    """A bug, or a limit of the kernel; the others are served all the same."""
    assert engine.run(caught(Ready(NO_FD, 1.0))) == "OSError"
    assert engine.run(steps(Pause(0))) == [None]


@pytest.mark.root
def test_what_is_known_of_file_systems_is_forgotten_with_the_next_mount(
    tmp_path: Path,
) -> None:
    def work() -> list[bool]:
        leave_the_mounts_of_the_others()
        engine = Engine(1.0)
        known = engine._disks.file_systems._known
        seen = []
        for _ in range(2):
            with ExitStack() as stack:
                engine.run(steps(*open_file(tmp_path, stack)))
            seen.append(bool(known))
            tmpfs(size=1 << 20)(tmp_path)
            engine.turn(0)
            seen.append(bool(known))
        return seen

    assert in_child(work) == [True, False, True, False]


def test_an_error_has_its_number(engine: Engine) -> None:
    def number() -> Steps[int | None]:
        try:
            yield Written(NO_FD, 0)
        except OSError as error:
            return error.errno
        return None

    assert engine.run(number()) == errno.EBADF


def test_a_descriptor_that_cannot_be_forgotten_ends_nothing(engine: Engine) -> None:
    """It was closed by somebody else meanwhile, say."""
    reads, writes = os.pipe()
    engine.watch(reads, lambda: None)
    os.close(reads)
    engine.unwatch(reads)
    os.close(writes)


def committed_in_background(engine: Engine, path: Path, clients: int) -> bool:
    """How the engine commits for so many clients at the same moment."""
    background = Background()
    engine._disks.commits._background = background  # type: ignore[assignment]
    with path.open("wb") as file:
        fd = file.fileno()
        device = os.fstat(fd).st_dev
        for _ in range(clients):
            engine.start(steps(Durable(fd, device, True)), lambda _: None)
        engine.turn(time.monotonic())
        found = bool(background.under_way)
        while background.under_way:
            background.end(0)
            engine._disks.commits.finish_done()
        engine.turn(time.monotonic())
    assert not engine.clients
    return found


def test_commits_block_only_a_client_that_has_been_alone_for_some_time(
    engine: Engine, tmp_path: Path
) -> None:
    """When several have just left together, the first that comes back is not alone."""
    file = tmp_path / "file"
    assert not committed_in_background(engine, file, 1)
    assert committed_in_background(engine, file, 2)
    assert committed_in_background(engine, file, 1)
    ways = [committed_in_background(engine, file, 1) for _ in range(20)]
    assert not ways[-1]
    assert ways == sorted(ways, reverse=True)


def test_the_wait_of_a_client_that_is_alone_is_rest(
    engine: Engine, pipe: tuple[int, int]
) -> None:
    began = time.monotonic()
    engine.run(steps(Ready(pipe[0], 0.1)))
    took = time.monotonic() - began
    assert 0.09 <= engine.rested_seconds <= took
    answers = engine.run(steps(Ready(pipe[1], None, writes=True)))
    assert answers == [True]


def test_only_waiting_for_events_is_rest(engine: Engine) -> None:
    def work() -> Steps[None]:
        yield Pause(0.2, can_be_cut_short=False)
        began = time.monotonic()
        while time.monotonic() < began + 0.2:
            pass

    began = time.monotonic()
    engine.run(work())
    took = time.monotonic() - began
    assert 0.19 <= engine.rested_seconds <= took - 0.2
