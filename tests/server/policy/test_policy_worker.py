"""Clients of the policy service, as many as there may be, and some that are hostile."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from postvirt.server.policy import policy_client, policy_worker
from postvirt.server.policy.askers import Answer
from postvirt.server.policy.policy_worker import PolicyWorker
from tests.harness.child import open_descriptors
from tests.harness.policy import PolicyClient, policy_request


def answers() -> Answer:
    return lambda request, _deadline: request.recipient


class Running:
    """A worker in a thread of this process."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lifeline, self.held = os.pipe()
        ready = threading.Event()
        self.worker = PolicyWorker(answers)
        self.thread = threading.Thread(
            target=self.worker.run,
            args=(self.listener, self.lifeline, ready.set),
        )
        self.thread.start()
        assert ready.wait(20)

    def client(self) -> PolicyClient:
        return PolicyClient(self.port)

    def end(self) -> None:
        if self.held >= 0:
            os.close(self.held)
            self.held = -1
            self.thread.join(20)
            assert not self.thread.is_alive()
            os.close(self.lifeline)


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.end()


def test_many_clients_at_a_time(running: Running) -> None:
    clients = [running.client() for _ in range(50)]
    for turn in range(3):
        for number, client in enumerate(clients):
            client.send(recipient=f"{turn}-{number}")
        for number, client in enumerate(clients):
            assert client.receive() == f"{turn}-{number}"
    for client in clients:
        client.socket.close()


def test_requests_that_come_at_once(running: Running) -> None:
    with running.client() as client:
        client.socket.sendall(policy_request(recipient="a") * 100)
        assert [client.receive() for _ in range(100)] == ["a"] * 100


def test_a_request_in_pieces(running: Running) -> None:
    with running.client() as client:
        for byte in policy_request(recipient="a"):
            client.socket.sendall(bytes([byte]))
        assert client.receive() == "a"


@pytest.mark.parametrize("nonsense", [b"\n\n", b"nonsense\n\n", b"x" * 200_000])
def test_nonsense_costs_the_connection(running: Running, nonsense: bytes) -> None:
    with running.client() as hostile, running.client() as client:
        try:
            hostile.socket.sendall(nonsense)
            assert hostile.receive() == ""
        except ConnectionError:
            pass  # not all of it was read
        assert client.ask(recipient="a") == "a"


def test_one_that_hangs_up_without_a_word(running: Running) -> None:
    for _ in range(3):
        running.client().socket.close()
    with running.client() as client:
        client.send(recipient="a")
    with running.client() as client:
        assert client.ask(recipient="b") == "b"


def test_of_too_many_the_quietest_is_dropped(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_worker, "MOST_CLIENTS", 2)
    with running.client() as first, running.client() as second:
        assert first.ask(recipient="a") == "a"
        assert second.ask(recipient="a") == "a"
        assert first.ask(recipient="b") == "b"
        with running.client() as third:
            assert third.ask(recipient="c") == "c"
            assert second.receive() == ""
            assert first.ask(recipient="d") == "d"


def test_one_that_does_not_finish_its_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(policy_client, "REQUEST_SECONDS", 0.01)
    running = Running()
    try:
        with running.client() as quiet, running.client() as client:
            client.socket.sendall(b"request=")
            assert client.receive() == ""
            assert quiet.ask(recipient="a") == "a"
    finally:
        running.end()


def test_it_leaves_when_nobody_needs_it(running: Running) -> None:
    with running.client() as client:
        assert client.ask(recipient="a") == "a"
        running.end()
        assert client.receive() == ""


def test_clients_that_come_and_go_leave_nothing(running: Running) -> None:
    def serve() -> None:
        with running.client() as client:
            assert client.ask(recipient="a") == "a"

    def gone() -> set[str]:
        while running.worker._clients:
            pass  # the last one is being closed
        return open_descriptors()

    serve()
    before = gone()
    for _ in range(200):
        serve()
    while len(gone()) > len(before):
        pass
