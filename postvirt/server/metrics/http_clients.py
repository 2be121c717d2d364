"""HTTP for the exporter: many clients, one thread, and no client that others wait for.

A client has a few seconds from its connection to the end of its answer, however often
it sends a byte or reads one. When too many are connected, the oldest is dropped: a
scraper that sends its request at once is answered at once, as long as that is the only
one that is new.

wsgiref reads a request from memory, and writes its answer to memory.

Raises: nothing.
Security: other users of this machine can connect, as many as they like. The number of
    clients, the size of a request and the time for one are limited.
"""

from __future__ import annotations

import errno
import socket
import time
from functools import partial
from io import BytesIO
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from types import SimpleNamespace
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler
from wsgiref.types import WSGIApplication

MOST_CLIENTS = 128
SECONDS = 10.0

# A scraper's request has a few hundred.
_MOST_REQUEST_BYTES = 8192

# Of a machine that has no descriptor left.
_PAUSE_SECONDS = 0.1


class Clients:
    """The clients of a listening socket; the selector's data are functions to call."""

    def __init__(
        self,
        selector: BaseSelector,
        listener: socket.socket,
        application: WSGIApplication,
    ) -> None:
        self._selector = selector
        self._listener = listener
        self._application = application
        self._clients: dict[socket.socket, _Client] = {}  # the oldest first
        listener.setblocking(False)
        selector.register(listener, EVENT_READ, self._accept)

    def rest_seconds(self) -> float | None:
        """When to call `drop_late` again; None if there is no client."""
        for client in self._clients.values():
            return max(0.0, client.deadline - time.monotonic())
        return None

    def drop_late(self) -> None:
        """Drop the clients whose time is over."""
        now = time.monotonic()
        for connection, client in list(self._clients.items()):
            if client.deadline > now:
                break
            self._close(connection)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                self._drop_oldest()
                time.sleep(_PAUSE_SECONDS)
            return
        if len(self._clients) == MOST_CLIENTS:
            self._drop_oldest()
        connection.setblocking(False)
        serve = partial(self._serve, connection)
        self._selector.register(connection, EVENT_READ, serve)
        self._clients[connection] = _Client(time.monotonic() + SECONDS)
        serve()

    def _drop_oldest(self) -> None:
        oldest = next(iter(self._clients), None)
        if oldest is not None:
            self._serve(oldest)  # it may have sent its request meanwhile
            self._close(oldest)

    def _serve(self, connection: socket.socket) -> None:
        client = self._clients.get(connection)
        if client is None:
            return  # dropped in this turn
        try:
            if not client.unsent:
                self._hear(connection, client)
            if client.unsent:
                client.unsent = client.unsent[connection.send(client.unsent) :]
                if not client.unsent:
                    self._close(connection)
        except BlockingIOError:
            pass
        except OSError:
            self._close(connection)

    def _hear(self, connection: socket.socket, client: _Client) -> None:
        data = connection.recv(_MOST_REQUEST_BYTES)
        client.received += data
        if data and not _is_complete(client.received):
            return
        client.unsent = memoryview(answer(bytes(client.received), self._application))
        if not client.unsent:
            self._close(connection)
            return
        serve = partial(self._serve, connection)
        self._selector.modify(connection, EVENT_WRITE, serve)

    def _close(self, connection: socket.socket) -> None:
        if self._clients.pop(connection, None) is None:
            return
        self._selector.unregister(connection)
        connection.close()


class _Client:
    """What a client has sent, and what it has not received of its answer."""

    __slots__ = ("deadline", "received", "unsent")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.received = bytearray()
        self.unsent = memoryview(b"")


def _is_complete(received: bytearray) -> bool:
    """Whether the headers have ended; requests for metrics have no body."""
    return (
        b"\n\r\n" in received
        or b"\n\n" in received
        or len(received) >= _MOST_REQUEST_BYTES
    )


def answer(request: bytes, application: WSGIApplication) -> bytes:
    """The answer to a request; b"" to hang up on one that cannot be read."""
    environment = {"SERVER_NAME": "localhost", "SERVER_PORT": "0"}
    server = SimpleNamespace(base_environ=environment, get_app=lambda: application)
    try:
        exchange = _Exchange(cast("Any", request), ("", 0), cast("Any", server))
    except Exception:
        return b""
    return exchange.answer


class _Exchange(WSGIRequestHandler):
    """Answers one request, all of which is here."""

    answer = b""

    def setup(self) -> None:
        self.rfile = BytesIO(cast("bytes", self.request))
        self.wfile = BytesIO()

    def finish(self) -> None:
        self.answer = cast("BytesIO", self.wfile).getvalue()

    def log_message(self, format: str, *_: Any) -> None:  # noqa: A002 (the library's)
        """Log nothing."""
