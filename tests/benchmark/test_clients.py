"""The queue manager's side, with agents that answer well, badly or not at all."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postvirt.codec.announcement import DELIVERY_REQUEST, encode_announcement
from postvirt.codec.delivery import encode_reply
from tests.benchmark import clients

_ANNOUNCEMENT = encode_announcement(DELIVERY_REQUEST)
_REQUESTS = [b"request %d" % number for number in range(10)]


@contextmanager
def agent(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """A listening socket whose clients are served one after the other."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        listener.listen()

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return  # shut down
                with connection:
                    serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("count", [1, 3, 20])
def test_every_request_is_sent_once(tmp_path: Path, count: int) -> None:
    received = []

    def serve(connection: socket.socket) -> None:
        for byte in _ANNOUNCEMENT:
            connection.sendall(bytes([byte]))
        received.append(connection.recv(100))
        connection.sendall(encode_reply(0))

    with agent(tmp_path / "agent", serve):
        timing = clients.run(tmp_path / "agent", _REQUESTS, count)
    assert sorted(received) == _REQUESTS
    assert len(timing.latencies_seconds) == len(_REQUESTS)
    assert 0 < max(timing.latencies_seconds) <= timing.seconds


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="hangs-up"),
        pytest.param(encode_announcement(b"other"), id="other-protocol"),
        pytest.param(_ANNOUNCEMENT + encode_reply(-1), id="deferred"),
    ],
)
def test_every_other_answer_ends_it(tmp_path: Path, answer: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        try:
            connection.sendall(answer)
            if answer:
                connection.recv(100)
        except ConnectionError:
            pass  # the other client has seen enough

    with (
        agent(tmp_path / "agent", serve),
        pytest.raises(clients.UnexpectedReplyError),
    ):
        clients.run(tmp_path / "agent", _REQUESTS, 2)
