"""What must never wear out, or keep mail waiting."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from postvirt.standin.instance import Instance
from tests.harness.drop_in import TIMEOUT_SECONDS, DropIn
from tests.server.test_worker import Post

Start = Callable[..., DropIn]


@pytest.fixture
def post(instance: Instance) -> Post:
    return Post(instance)


def wait_until(condition: Callable[[], bool]) -> None:
    """The last client's end may take a moment to be noticed."""
    give_up = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.mark.slow
def test_ten_thousand_connections_leave_no_descriptor(start: Start, post: Post) -> None:
    agent = start("-m", "20000")
    assert agent.ask(post.request()).status == 0
    worker = agent.worker()

    def descriptors() -> list[int]:
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in (agent.pid, worker)]

    before = descriptors()
    for _ in range(10_000):
        with agent.connect() as client:
            assert client.recv(100)
    assert agent.ask(post.request()).status == 0
    wait_until(lambda: descriptors() <= before)
    assert agent.children() == [worker]


@pytest.mark.slow
def test_nor_do_a_hundred_workers_one_after_the_other(start: Start, post: Post) -> None:
    agent = start("-m", "100")

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{agent.pid}/fd"))

    assert agent.ask(post.request()).status == 0
    first, before = agent.worker(), descriptors()
    for _ in range(10_000):
        with agent.connect() as client:
            assert client.recv(100)
    wait_until(lambda: len(agent.children()) == 1)
    assert agent.worker() != first
    assert descriptors() <= before


def test_when_nobody_accepts_any_more_the_others_do_not_take_long(
    start: Start, post: Post
) -> None:
    """A worker that was replaced serves its last client; its successor is killed."""
    agent = start("-m", "2")
    with agent.connect() as silent:
        assert silent.recv(100)
        silent.sendall(post.request()[:50])
        first = agent.worker()
        assert agent.ask(post.request()).status == 0
        wait_until(lambda: len(agent.children()) == 2)
        (second,) = {*agent.children()} - {first}
        os.kill(second, signal.SIGKILL)
        # Otherwise it would wait for ipc_timeout, an hour, and master(8) with it.
        assert agent.wait() == 1
        assert silent.recv(100) == b""
