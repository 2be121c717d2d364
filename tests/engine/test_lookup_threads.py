"""Lookups that take their time hold up only those who wait for them."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from postvirt.engine.engine import Engine
from postvirt.engine.lookup_threads import MOST_THREADS, Ask, Lookups
from postvirt.model.effects import Lookup, Steps
from postvirt.model.mailbox import Misconfigured, Resolution, Unknown
from postvirt.system import file_identity, privileges
from tests.harness.child import MAIL_OWNER, RECIPIENT, in_child

PATIENCE_SECONDS = 20


class Tables:
    """Tables that answer when they are told to."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked = threading.Semaphore(0)
        self.opened = 0
        self.threads: set[int] = set()

    def open(self) -> Ask:
        self.opened += 1
        return self.answer

    def answer(self, question: Lookup) -> Resolution:
        address = question.address
        self.threads.add(threading.get_ident())
        self.asked.release()
        if address != b"quick":
            assert self.may_answer.wait(PATIENCE_SECONDS)
        if address == b"broken":
            raise RuntimeError("boom")
        return Unknown(address)


@pytest.fixture
def tables() -> Iterator[Tables]:
    made = Tables()
    yield made
    made.may_answer.set()


def ask(address: bytes) -> Steps[Resolution]:
    place: Resolution = yield Lookup(address)
    return place


def immediately() -> Steps[str]:
    return "here"
    yield


def run_until(engine: Engine, is_over: Callable[[], bool]) -> None:
    while not is_over():
        engine.turn(None)


def test_others_go_on_while_a_table_is_silent(tables: Tables) -> None:
    engine = Engine(1.0, lookups=Lookups(tables.open))
    ends: list[Any] = []
    engine.start(ask(b"slow"), ends.append)
    engine.start(immediately(), ends.append)
    run_until(engine, lambda: bool(ends))
    assert ends == ["here"]
    assert tables.asked.acquire(timeout=PATIENCE_SECONDS)
    engine.start(ask(b"quick"), ends.append)
    run_until(engine, lambda: len(ends) == 2)
    tables.may_answer.set()
    run_until(engine, lambda: len(ends) == 3)
    assert ends == ["here", Unknown(b"quick"), Unknown(b"slow")]
    assert threading.get_ident() not in tables.threads


def test_each_thread_has_its_own_tables_and_there_are_not_too_many(
    tables: Tables,
) -> None:
    engine = Engine(1.0, lookups=Lookups(tables.open))
    ends: list[Resolution | None] = []
    for number in range(3 * MOST_THREADS):
        engine.start(ask(b"%d" % number), ends.append)
    engine.turn(None)
    for _ in range(MOST_THREADS):
        assert tables.asked.acquire(timeout=PATIENCE_SECONDS)
    assert not tables.asked.acquire(blocking=False)
    tables.may_answer.set()
    run_until(engine, lambda: len(ends) == 3 * MOST_THREADS)
    assert tables.opened == len(tables.threads) == MOST_THREADS


def test_one_client_needs_one_thread(tables: Tables) -> None:
    engine = Engine(1.0, lookups=Lookups(tables.open))
    for _ in range(3):
        assert engine.run(ask(b"quick")) == Unknown(b"quick")
    assert tables.opened == 1


def test_without_a_thread_mail_is_deferred_and_the_next_one_is_tried(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(1.0, lookups=Lookups(tables.open))

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as context:
        context.setattr("_thread.start_new_thread", no_thread)
        for _ in range(2 * MOST_THREADS):
            answer = engine.run(ask(b"quick"))
            assert isinstance(answer, Misconfigured)
            assert "limit on processes" in answer.problem
    assert engine.run(ask(b"quick")) == Unknown(b"quick")


def test_one_thread_is_enough_when_there_can_be_no_more(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(1.0, lookups=Lookups(tables.open))
    assert engine.run(ask(b"quick")) == Unknown(b"quick")

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", no_thread)
    ends: list[Any] = []
    for _ in range(3):
        engine.start(ask(b"quick"), ends.append)
    run_until(engine, lambda: len(ends) == 3)
    assert ends == [Unknown(b"quick")] * 3


def test_what_a_thread_meets_goes_to_who_asked(tables: Tables) -> None:
    tables.may_answer.set()
    engine = Engine(1.0, lookups=Lookups(tables.open))

    def careful() -> Steps[str]:
        try:
            yield Lookup(b"broken")
        except RuntimeError as error:
            return str(error)
        return "nothing"

    assert engine.run(careful()) == "boom"
    assert engine.run(ask(b"still there")) == Unknown(b"still there")


def test_a_wake_up_without_an_answer_harms_nobody(tables: Tables) -> None:
    Lookups(tables.open).pass_answers_on()


@pytest.mark.root
def test_a_lookup_is_made_as_mail_owner_whoever_the_worker_acts_as() -> None:
    """The answer comes while the worker is in the middle of a delivery."""

    def work() -> tuple[list[tuple[int, int]], tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        tables = Tables()

        def answer(question: Lookup) -> Resolution:
            found = tables.answer(question)
            seen.append((file_identity.uid(), file_identity.gid()))
            return found

        privileges.confine(MAIL_OWNER, for_good=True, may_change=True)
        lookups = Lookups(lambda: answer)
        lookups.ask(Lookup(b"user@example.com"), lambda *_: None)
        tables.asked.acquire(timeout=PATIENCE_SECONDS)
        with privileges.acting_as(RECIPIENT):
            tables.may_answer.set()
            select.select([lookups.fileno()], [], [], PATIENCE_SECONDS)
            worker = (file_identity.uid(), file_identity.gid())
        return seen, worker

    seen, worker = in_child(work)
    assert seen == [(MAIL_OWNER.uid, MAIL_OWNER.gid)]
    assert worker == (RECIPIENT.uid, RECIPIENT.gid)
