"""The queue manager's side: many clients in one epoll loop.

Each client does what qmgr(8) does for a delivery: connect, wait for the announcement,
send the request, wait for the reply, close. It is as cheap as Python can make it,
because it runs on the machine that is measured: nothing is decoded, and what comes in
is compared with the only answer that is right.

Raises: UnexpectedReplyError for every other answer and for none in time.
"""

from __future__ import annotations

import gc
import os
import select
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from postvirt.codec.announcement import DELIVERY_REQUEST, encode_announcement
from postvirt.codec.delivery import encode_reply

_ANNOUNCEMENT = encode_announcement(DELIVERY_REQUEST)
_SUCCESS = encode_reply(0)
_RIGHT_ANSWER = _ANNOUNCEMENT + _SUCCESS
_MAX_READ_BYTES = 4096
_TIMEOUT_SECONDS = 60.0


class UnexpectedReplyError(Exception):
    """The agent did not report success."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long everything took, and each request from its connection to its reply."""

    seconds: float
    latencies_seconds: Sequence[float]


class _Client:
    """One connection with its request; `received` grows to the right answer."""

    __slots__ = ("connection", "received", "request", "started")

    def __init__(self, path: str, request: bytes) -> None:
        self.request = request
        self.received = b""
        self.started = perf_counter()
        self.connection = socket.socket(socket.AF_UNIX)
        # Waits, as qmgr(8) does, while the backlog of the listening socket is full.
        self.connection.connect(path)


def run(path: Path, requests: Sequence[bytes], clients: int) -> Timing:
    """Send all requests, as many at a time as there are clients."""
    gc.disable()
    try:
        return _Loop(os.fspath(path), requests).run(clients)
    finally:
        gc.enable()


class _Loop:
    def __init__(self, path: str, requests: Sequence[bytes]) -> None:
        self._path = path
        self._waiting: Iterator[bytes] = iter(requests)
        self._epoll = select.epoll()
        self._clients: dict[int, _Client] = {}
        self._latencies: list[float] = []

    def run(self, clients: int) -> Timing:
        started = perf_counter()
        with self._epoll:
            try:
                for _ in range(clients):
                    self._start_next()
                while self._clients:
                    events = self._epoll.poll(_TIMEOUT_SECONDS)
                    if not events:
                        raise UnexpectedReplyError("no reply in time")
                    for fd, _ in events:
                        self._receive(fd)
            finally:
                for client in self._clients.values():
                    client.connection.close()
        return Timing(perf_counter() - started, self._latencies)

    def _start_next(self) -> None:
        request = next(self._waiting, None)
        if request is not None:
            client = _Client(self._path, request)
            fd = client.connection.fileno()
            self._clients[fd] = client
            self._epoll.register(fd, select.EPOLLIN)

    def _receive(self, fd: int) -> None:
        client = self._clients[fd]
        try:
            data = client.connection.recv(_MAX_READ_BYTES)
        except ConnectionError:
            data = b""
        client.received += data
        if client.received == _ANNOUNCEMENT:
            client.connection.sendall(client.request)
        elif client.received == _RIGHT_ANSWER:
            self._latencies.append(perf_counter() - client.started)
            client.connection.close()
            del self._clients[fd]
            self._start_next()
        elif not data or not _RIGHT_ANSWER.startswith(client.received):
            raise UnexpectedReplyError(f"unexpected reply: {client.received!r}")
