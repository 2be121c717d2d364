"""Deliveries of one kind do in one go what they do at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from postvirt.engine.engine import Engine
from postvirt.model.effects import (
    AtOnce,
    Batch,
    Durable,
    Effect,
    Pause,
    Steps,
    Together,
    WriteOut,
    Written,
)

NO_FD = 1_000_000

Became = tuple[object, BaseException | None]


class Work:
    """Notes each group; an item that is an exception fails."""

    def __init__(self) -> None:
        self.groups: list[list[object]] = []

    def __call__(self, items: Sequence[Any]) -> list[Became]:
        self.groups.append(list(items))
        return [
            (None, item) if isinstance(item, Exception) else (item, None)
            for item in items
        ]


@pytest.fixture
def engine() -> Engine:
    return Engine(1.0)


@pytest.fixture
def work() -> Work:
    return Work()


def steps(*effects: Effect) -> Steps[list[object]]:
    answers: list[object] = []
    for effect in effects:
        answer = yield effect
        answers.append(answer)
    return answers


def caught(effect: Effect) -> Steps[object]:
    """The answer of an effect, or the exception that came instead."""
    try:
        return (yield effect)
    except Exception as error:
        return error


def serve(engine: Engine, *clients: Steps[Any]) -> list[Any]:
    """What became of each of these clients, which came at the same moment."""
    ends: list[Any] = [None] * len(clients)
    for number, client in enumerate(clients):
        engine.start(client, lambda end, number=number: ends.__setitem__(number, end))  # type: ignore[misc]
    while engine.clients:
        engine.turn(None)
    return ends


def test_clients_of_one_key_share_one_call(engine: Engine, work: Work) -> None:
    keys = "abaab"
    clients = [steps(AtOnce(key, number, work)) for number, key in enumerate(keys)]
    assert serve(engine, *clients) == [[0], [1], [2], [3], [4]]
    assert work.groups == [[0, 2, 3], [1, 4]]


def test_so_do_the_recipients_of_one_request(engine: Engine, work: Work) -> None:
    branches = [
        steps(AtOnce("a", number, work), AtOnce("a", number + 10, work))
        for number in range(3)
    ]
    engine.run(steps(Together(branches)))
    assert work.groups == [[0, 1, 2], [10, 11, 12]]


def test_what_others_do_first_lets_them_join(engine: Engine, work: Work) -> None:
    """Whoever has begun waits as long as anybody can go on."""

    def several(count: int) -> Steps[object]:
        for _ in range(count):
            yield Together([steps()])
        return (yield AtOnce("a", count, work))

    serve(engine, *(several(count) for count in range(4)))
    assert work.groups == [[0, 1, 2, 3]]


def test_a_client_alone_is_served_before_it_is_waited_for_anything(
    engine: Engine, work: Work
) -> None:
    assert engine.run(steps(AtOnce("a", 1, work), AtOnce("a", 2, work))) == [1, 2]
    assert work.groups == [[1], [2]]


class Alone:
    """What a client does that is alone: it asks for a file to be written out."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.answers: list[bool] = []
        self._failure = failure

    def __call__(self, write_out: WriteOut) -> None:
        self.answers.append(write_out(Written(NO_FD, 0)))
        if self._failure is not None:
            raise self._failure


def test_a_client_alone_may_have_a_file_written_out(engine: Engine, work: Work) -> None:
    """But not on a disk of which nothing is known."""
    alone = Alone()
    effects = AtOnce("a", 1, work, alone), AtOnce("a", 2, work, alone)
    assert engine.run(steps(*effects)) == [None, None]
    assert alone.answers == [False, False]
    assert work.groups == []


def test_what_it_raises_is_raised_for_this_client(engine: Engine, work: Work) -> None:
    error = KeyError()
    assert engine.run(caught(AtOnce("a", 1, work, Alone(error)))) is error


def test_with_another_client_or_recipient_none_is_alone(
    engine: Engine, work: Work
) -> None:
    def one(number: int) -> Steps[object]:
        return steps(AtOnce("a", number, work, alone), Pause(0))

    alone = Alone()
    serve(engine, one(1), one(2))
    engine.run(steps(Together([one(3), one(4)])))
    serve(engine, one(5), steps(Pause(0.01)))
    assert work.groups == [[1, 2], [3, 4], [5]]
    assert alone.answers == []


def test_it_is_done_before_batches_begin_and_files_are_written_out(
    engine: Engine,
) -> None:
    order = []

    def at_once(items: Sequence[Any]) -> list[Became]:
        order.append(f"at once {items}")
        return [(None, None)] * len(items)

    def batch(items: Sequence[Any]) -> Steps[Sequence[Any]]:
        order.append(f"batch {items}")
        yield Pause(0)
        return items

    def write() -> Steps[None]:
        with pytest.raises(OSError, match="Bad file descriptor"):
            yield Written(NO_FD, 0)
        order.append("written")

    serve(
        engine,
        write(),
        steps(Batch("b", 1, batch)),
        steps(AtOnce("a", 1, at_once), AtOnce("a", 2, at_once)),
        steps(AtOnce("a", 3, at_once)),
    )
    assert order == ["at once [1, 3]", "at once [2]", "batch [1]", "written"]


def test_each_has_its_own_error(engine: Engine, work: Work) -> None:
    items = [1, KeyError(), 2, ValueError()]
    found = serve(engine, *(caught(AtOnce("a", item, work)) for item in items))
    assert found == items


def test_one_alone_has_its_own_error_too(engine: Engine, work: Work) -> None:
    error = KeyError()
    assert engine.run(caught(AtOnce("a", error, work))) is error


def test_an_exception_of_the_work_concerns_its_own_group(
    engine: Engine, work: Work
) -> None:
    def fail(_: Sequence[Any]) -> list[Became]:
        raise PermissionError

    clients = [
        caught(AtOnce(key, number, fail if key == "a" else work))
        for number, key in enumerate("abaab")
    ]
    found = serve(engine, *clients)
    assert [type(one) for one in found] == [
        PermissionError,
        int,
        PermissionError,
        PermissionError,
        int,
    ]
    alone = engine.run(caught(AtOnce("a", 1, fail)))
    assert isinstance(alone, PermissionError)


def test_an_engine_that_is_stopping_does_it_all_the_same(
    engine: Engine, work: Work
) -> None:
    """Deliveries that have begun are not abandoned."""
    ends: list[object] = []
    for number in range(2):
        engine.start(steps(AtOnce("a", number, work)), ends.append)
    engine.stop()
    while engine.clients:
        engine.turn(None)
    assert ends == [[0], [1]]
    assert work.groups == [[0, 1]]


def test_it_can_be_waited_for_what_was_done(engine: Engine, work: Work) -> None:
    """The deliveries of a group go on by themselves."""
    found = serve(
        engine,
        steps(AtOnce("a", 1, work), Pause(0)),
        caught(Durable(NO_FD, 0, True)),
        steps(AtOnce("a", 2, work), Together([steps(AtOnce("a", 3, work))])),
    )
    assert found[0] == [1, False]
    assert isinstance(found[1], OSError)
    assert found[2] == [2, [[3]]]
