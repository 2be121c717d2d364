"""The helper that takes the log and answers bounce, defer and trace.

    python -m tests.benchmark.sink SPOOL

It answers "bounces" with how many requests bounce has had, and "problem" with the first
line of the log that reports one, or an empty line.

It does as little as it can: standin.services records everything, which would take time
from the agent.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from postvirt.codec.announcement import DELIVERY_STATUS, encode_announcement
from postvirt.codec.notice import encode_status
from postvirt.standin.services import POSTLOG, PROTOCOLS, split_request

_ANNOUNCEMENT = encode_announcement(DELIVERY_STATUS)
_SUCCESS = encode_status(0)
_SERVICES = [name for name, kind in PROTOCOLS.items() if kind == DELIVERY_STATUS]
_MAX_READ_BYTES = 65_536
_BACKLOG = 100
_PROBLEMS = (b"warning:", b"error:", b"fatal:", b"panic:")


class Sink:
    """All sockets, in one epoll loop."""

    def __init__(self, spool: Path) -> None:
        self._epoll = select.epoll()
        self._actions: dict[int, Callable[[], None]] = {}
        self._counts = dict.fromkeys(_SERVICES, 0)
        self._problem = ""
        self._is_wanted = True
        self._log = _bind(spool / POSTLOG, socket.SOCK_DGRAM)
        self._register(self._log.fileno(), self._take_line)
        for service in _SERVICES:
            self._listen(service, _bind(spool / service, socket.SOCK_STREAM))
        self._register(0, self._answer)

    def run(self) -> None:
        """Serve until standard input ends."""
        actions = self._actions
        while self._is_wanted:
            for fd, _ in self._epoll.poll():
                actions[fd]()

    def _register(self, fd: int, action: Callable[[], None]) -> None:
        self._actions[fd] = action
        self._epoll.register(fd, select.EPOLLIN)

    def _take_line(self) -> None:
        line = self._log.recv(_MAX_READ_BYTES)
        if not self._problem and any(word in line for word in _PROBLEMS):
            self._problem = line.decode(errors="replace").strip()

    def _listen(self, service: str, listener: socket.socket) -> None:
        def accept() -> None:
            connection, _ = listener.accept()
            connection.sendall(_ANNOUNCEMENT)
            self._serve(service, connection)

        listener.listen(_BACKLOG)
        self._register(listener.fileno(), accept)

    def _serve(self, service: str, connection: socket.socket) -> None:
        buffer = bytearray()

        def receive() -> None:
            try:
                data = connection.recv(_MAX_READ_BYTES)
            except ConnectionError:
                data = b""
            if not data:
                del self._actions[connection.fileno()]
                connection.close()
                return
            buffer.extend(data)
            while (found := split_request(buffer)) is not None:
                del buffer[: found[1]]
                self._counts[service] += 1
                connection.sendall(_SUCCESS)

        self._register(connection.fileno(), receive)

    def _answer(self) -> None:
        match os.read(0, _MAX_READ_BYTES):
            case b"bounces\n":
                print(self._counts["private/bounce"], flush=True)
            case b"problem\n":
                print(self._problem, flush=True)
            case b"":
                self._is_wanted = False


def _bind(path: Path, kind: socket.SocketKind) -> socket.socket:
    endpoint = socket.socket(socket.AF_UNIX, kind)
    endpoint.bind(os.fspath(path))
    path.chmod(0o666)
    return endpoint


if __name__ == "__main__":
    sink = Sink(Path(sys.argv[1]))
    print("ready", flush=True)
    sink.run()
