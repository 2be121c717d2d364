"""The services that a delivery agent uses, and postlogd(8).

bounce, defer, trace, verify and flush receive requests over a connection, one after the
other, and answer each with a status. Every request is recorded, and the behaviour of a
service can be chosen. postlogd's socket receives the log, one datagram per line.

Parity: src/bounce/bounce.c, src/verify/verify.c, src/flush/flush.c, src/postlogd.
Raises: OSError when a socket cannot be made.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from postvirt.codec.announcement import (
    ADDRESS_VERIFICATION,
    DELIVERY_STATUS,
    QUEUE_FLUSH,
    encode_announcement,
)
from postvirt.codec.notice import encode_status

# Every service with its protocol.
PROTOCOLS: Mapping[str, bytes] = {
    "private/bounce": DELIVERY_STATUS,
    "private/defer": DELIVERY_STATUS,
    "private/trace": DELIVERY_STATUS,
    "private/verify": ADDRESS_VERIFICATION,
    "public/flush": QUEUE_FLUSH,
}
POSTLOG = "public/postlog"

_MAX_READ_BYTES = 65_536
_BACKLOG = 100


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a service does with its clients.

    status            the answer
    is_down           there is no socket
    protocol          the protocol that it announces, b"" for the right one
    greeting          the bytes that it sends instead of an announcement, if any
    answer            the bytes that it sends instead of a status, if any
    hangs_up          it closes the connection after its answer
    hangs_up_at_once  it closes the connection after its announcement
    spoilt_clients    the number of clients that it treats in this way, 0 for all; it
                      serves the others well
    """

    status: int = 0
    is_down: bool = False
    protocol: bytes = b""
    greeting: bytes | None = None
    answer: bytes | None = None
    hangs_up: bool = False
    hangs_up_at_once: bool = False
    spoilt_clients: int = 0

    @property
    def announcement(self) -> bytes:
        """The first bytes that it sends."""
        if self.greeting is None:
            return encode_announcement(self.protocol)
        return self.greeting

    @property
    def reply(self) -> bytes:
        """The bytes that it sends when it has read a request."""
        return encode_status(self.status) if self.answer is None else self.answer


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """One request: its service, its bytes, and its attributes in their order."""

    service: str
    raw: bytes
    attributes: tuple[tuple[bytes, bytes], ...]


def split_request(buffer: bytes | bytearray) -> tuple[tuple[bytes, ...], int] | None:
    """The strings of the attribute list at the start of the buffer, and its end.

    None if the list is not complete. Unlike codec.attributes, this accepts any
    attributes, because what an agent sends is recorded and not checked.
    """
    strings: list[bytes] = []
    position = 0
    while (end := buffer.find(b"\0", position)) >= 0:
        if end == position and len(strings) % 2 == 0:
            return tuple(strings), end + 1
        strings.append(bytes(buffer[position:end]))
        position = end + 1
    return None


@dataclass(slots=True)
class _Client:
    service: str
    behaviour: Behaviour
    connection: socket.socket
    buffer: bytearray


class Services:
    """All services, in a thread of their own, from construction until `stop`.

    behaviours maps services, as "private/bounce", to what they do; the others report
    success. A service with another name needs a protocol. `requests` and `log` grow
    while the thread runs; a request is recorded before its answer is sent.
    """

    def __init__(
        self, spool: Path, behaviours: Mapping[str, Behaviour] | None = None
    ) -> None:
        self.requests: list[ServiceRequest] = []
        self.log: list[bytes] = []
        self._spool = spool
        self._behaviours = dict(behaviours or {})
        self._selector = selectors.DefaultSelector()
        self._postlog = self._open_postlog()
        self._client_counts: Counter[str] = Counter()
        for service in {**PROTOCOLS, **self._behaviours}:
            if not self._behaviour(service).is_down:
                self._listen(service)
        self._wake, waking_end = socket.socketpair()
        self._selector.register(waking_end, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="services")
        self._thread.start()

    def stop(self) -> None:
        """End the thread, read the remaining log lines, close all sockets."""
        self._wake.close()
        self._thread.join()
        self._take_log()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    def _behaviour(self, service: str) -> Behaviour:
        behaviour = self._behaviours.get(service, Behaviour())
        spoilt = behaviour.spoilt_clients
        if spoilt and self._client_counts[service] > spoilt:
            behaviour = Behaviour()
        return replace(behaviour, protocol=behaviour.protocol or PROTOCOLS[service])

    def _open_postlog(self) -> socket.socket:
        postlog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        postlog.setblocking(False)
        self._bind(postlog, POSTLOG)
        self._selector.register(postlog, selectors.EVENT_READ, postlog)
        return postlog

    def _listen(self, service: str) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.setblocking(False)
        self._bind(listener, service)
        listener.listen(_BACKLOG)
        self._selector.register(listener, selectors.EVENT_READ, service)

    def _bind(self, endpoint: socket.socket, service: str) -> None:
        path = self._spool / service
        endpoint.bind(os.fspath(path))
        path.chmod(0o666)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                match key.data:
                    case None:
                        return
                    case socket.socket():
                        self._take_log()
                    case str() as service:
                        assert isinstance(key.fileobj, socket.socket)
                        self._accept(service, key.fileobj)
                    case _Client() as client:
                        self._serve(client)

    def _take_log(self) -> None:
        while True:
            try:
                self.log.append(self._postlog.recv(_MAX_READ_BYTES))
            except BlockingIOError:
                return

    def _accept(self, service: str, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self._client_counts[service] += 1
        behaviour = self._behaviour(service)
        client = _Client(service, behaviour, connection, bytearray())
        self._selector.register(connection, selectors.EVENT_READ, client)
        self._send(client, behaviour.announcement)
        if behaviour.hangs_up_at_once:
            self._close(client)

    def _serve(self, client: _Client) -> None:
        try:
            data = client.connection.recv(_MAX_READ_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self._close(client)
            return
        client.buffer += data
        while (found := split_request(client.buffer)) is not None:
            strings, end = found
            raw = bytes(client.buffer[:end])
            del client.buffer[:end]
            attributes = tuple(zip(strings[::2], strings[1::2], strict=True))
            self.requests.append(ServiceRequest(client.service, raw, attributes))
            self._send(client, client.behaviour.reply)
            if client.behaviour.hangs_up:
                self._close(client)
                return

    def _send(self, client: _Client, data: bytes) -> None:
        # These are only a few bytes, which always fit into the socket's buffer.
        try:
            client.connection.sendall(data)
        except ConnectionError:
            pass  # it has closed the connection, which reading will show

    def _close(self, client: _Client) -> None:
        self._selector.unregister(client.connection)
        client.connection.close()
