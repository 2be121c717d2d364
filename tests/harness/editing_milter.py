"""A milter that edits messages as it is told, and has them held.

Which edits a message gets is chosen by its Subject. Every message is quarantined, so
that it waits in the hold queue.

Parity: the milter protocol, version 6, as Postfix speaks it (src/milter/milter8.c).
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_VERSION = 6
# Add, change and insert headers, replace the body, add and remove recipients, change
# the sender, quarantine.
_ACTIONS = 0x7F
# Tell about headers and the end of the message, nothing else; headers need no answer.
_PROTOCOL = 0x35F | 0x80
_MAX_BODY_BYTES = 65_535


def add_header(name: str, value: str) -> bytes:
    return b"h" + _strings(name, value)


def insert_header(index: int, name: str, value: str) -> bytes:
    return b"i" + struct.pack(">I", index) + _strings(name, value)


def change_header(name: str, value: str, occurrence: int = 1) -> bytes:
    """Give a header another value; an empty one removes it."""
    return b"m" + struct.pack(">I", occurrence) + _strings(name, value)


def replace_body(body: bytes) -> list[bytes]:
    """The edits that replace the body; lines end with CR LF."""
    starts = range(0, max(len(body), 1), _MAX_BODY_BYTES)
    return [b"b" + body[start : start + _MAX_BODY_BYTES] for start in starts]


def add_recipient(address: str) -> bytes:
    return b"+" + _strings(f"<{address}>")


def remove_recipient(address: str) -> bytes:
    return b"-" + _strings(f"<{address}>")


def change_sender(address: str) -> bytes:
    return b"e" + _strings(f"<{address}>")


def _strings(*strings: str) -> bytes:
    return b"".join(one.encode() + b"\0" for one in strings)


def _packet(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


@dataclass(slots=True)
class Milter:
    """Listens on a socket, from construction until `close`."""

    path: Path
    edits: Mapping[str, Sequence[bytes]]
    _listener: socket.socket = field(init=False)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(self.path))
        self.path.chmod(0o666)
        self._listener.listen(100)
        self._start(self._accept)

    def close(self) -> None:
        """Leave, when Postfix has hung up."""
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        subject = ""
        with connection, connection.makefile("rb") as stream:
            while head := stream.read(4):
                data = stream.read(*struct.unpack(">I", head))
                match data[:1]:
                    case b"O":
                        answer = struct.pack(">III", _VERSION, _ACTIONS, _PROTOCOL)
                        connection.sendall(_packet(b"O" + answer))
                    case b"L":
                        name, value, _ = data[1:].split(b"\0")
                        if name == b"Subject":
                            subject = value.decode().strip()
                    case b"E":
                        wanted = (*self.edits[subject], b"q" + _strings("held"), b"c")
                        connection.sendall(b"".join(map(_packet, wanted)))
                    case b"Q":
                        return
