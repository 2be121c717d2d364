"""The wait of a delivery that has the process to itself."""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from postvirt.engine.engine import Engine
from postvirt.engine.sole_wait import SoleWait
from postvirt.model.effects import Ready, Steps

PATIENT_SECONDS = 20.0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.fixture
def others() -> Iterator[tuple[int, int]]:
    reads, writes = os.pipe()
    yield reads, writes
    os.close(reads)
    os.close(writes)


def test_a_descriptor_that_is_ready_is_waited_for(pair, others):
    wait = SoleWait(others[0])
    assert wait.is_ready(pair[0].fileno(), writes=True)
    assert not wait.is_ready(pair[0].fileno(), writes=False)
    pair[1].send(b"x")
    assert wait.is_ready(pair[0].fileno(), writes=False)


def test_a_client_that_has_hung_up_is_ready(pair, others):
    pair[1].close()
    assert SoleWait(others[0]).is_ready(pair[0].fileno(), writes=False)


def test_something_else_comes_first(pair, others):
    """So that a delivery that need never wait cannot keep other clients waiting."""
    wait = SoleWait(others[0])
    pair[1].send(b"x")
    os.write(others[1], b"x")
    assert not wait.is_ready(pair[0].fileno(), writes=False)
    os.read(others[0], 1)
    assert wait.is_ready(pair[0].fileno(), writes=False)


def test_what_was_waited_for_is_forgotten(pair, others):
    wait = SoleWait(others[0])
    closed, other = socket.socketpair()
    with closed, other:
        assert wait.is_ready(closed.fileno(), writes=True)
    pair[1].send(b"x")
    assert wait.is_ready(pair[0].fileno(), writes=False)


def test_a_kernel_without_memory_is_asked_in_another_way(monkeypatch, pair, others):
    class Failing:
        def __init__(self) -> None:
            self.registered: list[int] = []

        def register(self, fd: int, _events: int) -> None:
            self.registered.append(fd)

        def unregister(self, fd: int) -> None:
            self.registered.remove(fd)

        def poll(self, _milliseconds: int) -> list[tuple[int, int]]:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    failing = Failing()
    monkeypatch.setattr(select, "poll", lambda: failing)
    pair[1].send(b"x")
    assert not SoleWait(others[0]).is_ready(pair[0].fileno(), writes=False)
    assert failing.registered == [others[0]]
    engine = Engine(PATIENT_SECONDS)

    def steps() -> Steps[bool]:
        return (yield Ready(pair[0].fileno(), PATIENT_SECONDS))

    assert engine.run(steps()) is True


@pytest.mark.parametrize("clients", [1, 2])
def test_only_one_of_several_is_registered_with_epoll(pair, clients):
    engine = Engine(PATIENT_SECONDS)
    found: list[bool] = []

    def steps() -> Steps[None]:
        yield Ready(pair[0].fileno(), PATIENT_SECONDS)
        found.append(_is_registered(pair[0].fileno()))

    def another() -> Steps[None]:
        yield Ready(pair[1].fileno(), PATIENT_SECONDS)

    pair[1].send(b"x")
    if clients > 1:
        pair[0].send(b"x")
        engine.start(another(), lambda _: None)
    engine.run(steps())
    assert found == [clients > 1]


def test_a_sole_wait_ends_when_something_else_happens(pair, others):
    """Here this is what makes the descriptor ready."""
    engine = Engine(PATIENT_SECONDS)

    def happen() -> None:
        os.read(others[0], 1)
        pair[1].send(b"x")

    def steps() -> Steps[bool]:
        os.write(others[1], b"x")
        return (yield Ready(pair[0].fileno(), None))

    engine.watch(others[0], happen)
    assert engine.run(steps()) is True


def _is_registered(fd: int) -> bool:
    """Whether one of this process's epoll instances has it."""
    lines = [
        line.split()
        for info in Path("/proc/self/fdinfo").iterdir()
        if info.exists()
        for line in info.read_text().splitlines()
    ]
    return any(line[:2] == ["tfd:", str(fd)] for line in lines)
