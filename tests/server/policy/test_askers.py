"""Requests are answered in time, whatever the threads wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from postvirt.codec.policy_protocol import PolicyRequest
from postvirt.engine.engine import Engine
from postvirt.model.effects import Steps, Together
from postvirt.server.policy.askers import (
    ANSWER_SECONDS,
    MOST_THREADS,
    Answer,
    Askers,
)
from tests.harness.child import Log


def request(recipient: bytes) -> PolicyRequest:
    return PolicyRequest(b"smtpd_access_policy", b"RCPT", recipient, 0)


class Tables:
    """Answers with the recipient; some answers wait for `go_on`."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.opened = 0

    def open(self) -> Answer:
        self.opened += 1
        return self.answer

    def answer(self, request: PolicyRequest, deadline: float) -> bytes:
        if request.recipient == b"slow":
            self.go_on.wait(20)
        if request.recipient == b"bad":
            raise ValueError("bad")
        return request.recipient


@pytest.fixture
def tables() -> Iterator[Tables]:
    made = Tables()
    yield made
    made.go_on.set()


def all_of(askers: Askers, *recipients: bytes) -> list[bytes]:
    """Ask about all at the same time; the actions."""

    def steps() -> Steps[list[bytes]]:
        branches = [askers.action(request(one)) for one in recipients]
        found: list[bytes] = yield Together(branches)
        return found

    result = Engine(0).run(steps())
    assert result is not None
    return result


def test_each_gets_its_answer(tables: Tables) -> None:
    recipients = [b"%d" % number for number in range(100)]
    assert all_of(Askers(tables.open), *recipients) == recipients


def test_no_more_threads_than_are_needed(tables: Tables) -> None:
    askers = Askers(tables.open)
    for number in range(10):
        assert all_of(askers, b"%d" % number) == [b"%d" % number]
    assert tables.opened == 1


def test_one_that_is_slow_holds_up_no_other(tables: Tables) -> None:
    assert all_of(Askers(tables.open), b"slow", b"a", b"b") == [b"DUNNO", b"a", b"b"]


def test_while_all_are_slow_the_others_do_not_wait(tables: Tables) -> None:
    askers = Askers(tables.open)
    slow = [b"slow"] * MOST_THREADS
    assert set(all_of(askers, *slow)) == {b"DUNNO"}
    began = time.monotonic()
    assert all_of(askers, b"a") == [b"DUNNO"]
    assert time.monotonic() - began < ANSWER_SECONDS
    tables.go_on.set()
    while all_of(askers, b"a") != [b"a"]:
        pass


def test_a_bug_costs_one_answer(tables: Tables, logged: Log) -> None:
    assert all_of(Askers(tables.open), b"bad", b"a") == [b"DUNNO", b"a"]
    assert logged.lines == ["warning: policy: bad"]


def test_tables_that_cannot_be_opened(logged: Log) -> None:
    def fail() -> Answer:
        raise OSError("no")

    assert all_of(Askers(fail), b"a", b"b") == [b"DUNNO", b"DUNNO"]
