"""Slow and hostile clients of the exporter; time and turns are the test's."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from selectors import DefaultSelector
from typing import Any
from wsgiref.types import StartResponse

import pytest

from postvirt.server.metrics.http_clients import (
    MOST_CLIENTS,
    SECONDS,
    Clients,
    answer,
)

REQUEST = b"GET /metrics HTTP/1.0\r\n\r\n"
BIG = b"x" * 10_000_000


def application(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
    start("200 OK", [])
    return [BIG if environ["PATH_INFO"] == "/big" else b"metrics"]


class Exporter:
    def __init__(self, path: Path) -> None:
        self._path = os.fspath(path)
        self._selector = DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen(MOST_CLIENTS)
        self._clients = Clients(self._selector, self._listener, application)
        self._connected: list[socket.socket] = []

    def connect(self, data: bytes = b"") -> socket.socket:
        """A client that has been accepted, and has sent this."""
        client = socket.socket(socket.AF_UNIX)
        self._connected.append(client)
        client.setblocking(False)
        client.connect(self._path)
        client.send(data)
        self.turn()
        return client

    def turn(self) -> None:
        for key, _ in self._selector.select(0):
            key.data()
        self._clients.drop_late()

    def rest_seconds(self) -> float | None:
        return self._clients.rest_seconds()

    def scrape(self) -> bytes:
        """What a scraper receives that sends its request a turn after it connects."""
        client = self.connect()
        client.send(REQUEST)
        self.turn()
        return client.recv(65_536)

    def close(self) -> None:
        for one in self._connected:
            one.close()
        self.turn()
        self._selector.close()
        self._listener.close()


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[Exporter]:
    exporter = Exporter(tmp_path / "s")
    yield exporter
    exporter.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def is_dropped(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_an_answer_to_a_request_that_comes_byte_by_byte(exporter: Exporter) -> None:
    client = exporter.connect()
    for byte in REQUEST:
        client.send(bytes((byte,)))
        exporter.turn()
    said = client.recv(65_536)
    assert said.startswith(b"HTTP/1.0 200 OK\r\n")
    assert said.endswith(b"\r\n\r\nmetrics")
    assert is_dropped(client)


def test_a_byte_now_and_then_makes_nobody_stay(
    exporter: Exporter, clock: list[float]
) -> None:
    slow = exporter.connect(b"G")
    while clock[0] < SECONDS:
        assert not is_dropped(slow)
        slow.send(b"E")
        clock[0] += 3
        exporter.turn()
    assert is_dropped(slow)
    assert clock[0] < SECONDS + 3


def test_who_reads_a_byte_now_and_then_does_not_stay(
    exporter: Exporter, clock: list[float]
) -> None:
    slow = exporter.connect(b"GET /big HTTP/1.0\r\n\r\n")
    while clock[0] < SECONDS:
        assert slow.recv(1)
        assert exporter.scrape().endswith(b"metrics")
        clock[0] += 3
        exporter.turn()
    received = 0
    while data := slow.recv(1_000_000):
        received += len(data)
    assert 0 < received < len(BIG)


def test_a_big_answer_arrives(exporter: Exporter) -> None:
    client = exporter.connect(b"GET /big HTTP/1.0\r\n\r\n")
    received = b""
    while data := client.recv(1_000_000):
        received += data
        exporter.turn()
    assert received.endswith(b"\r\n\r\n" + BIG)


def test_the_oldest_is_dropped_for_a_new_one(exporter: Exporter) -> None:
    silent = [exporter.connect(b"G") for _ in range(MOST_CLIENTS)]
    assert not any(map(is_dropped, silent))
    assert exporter.scrape().endswith(b"metrics")
    assert [is_dropped(one) for one in silent] == [True] + [False] * (MOST_CLIENTS - 1)


def test_the_oldest_is_answered_if_its_request_has_come(exporter: Exporter) -> None:
    first = exporter.connect()
    for _ in range(MOST_CLIENTS - 1):
        exporter.connect()
    first.send(REQUEST)
    exporter.connect()
    assert first.recv(65_536).endswith(b"metrics")


def test_it_waits_for_the_first_that_is_late(
    exporter: Exporter, clock: list[float]
) -> None:
    assert exporter.rest_seconds() is None
    exporter.connect()
    clock[0] = 4
    exporter.connect()
    assert exporter.rest_seconds() == SECONDS - 4
    clock[0] = SECONDS + 1
    assert exporter.rest_seconds() == 0
    exporter.turn()
    assert exporter.rest_seconds() == 3


def test_who_hangs_up_is_forgotten(exporter: Exporter) -> None:
    for data in (b"", b"GET", REQUEST):
        exporter.connect(data).close()
        exporter.turn()
    assert exporter.rest_seconds() is None


def test_an_endless_request_ends(exporter: Exporter) -> None:
    client = exporter.connect(b"GET / HTTP/1.0\r\nA: ")
    received = b""
    while not received:
        client.send(b"a" * 1000)
        exporter.turn()
        try:
            received = client.recv(65_536)
        except BlockingIOError:
            continue
    assert received.endswith(b"metrics")


@pytest.mark.parametrize(
    "request_", [b"", b"\0\n\n", b"GET\r\n\r\n", b"GET / HTTP/1.x\r\n\r\n"]
)
def test_nonsense_is_refused(request_: bytes) -> None:
    assert not answer(request_, application).endswith(b"metrics")
