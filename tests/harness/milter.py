"""A milter that edits every message the same way, as Postfix asks it to.

It is as much of the Sendmail milter protocol (version 6) as it takes to answer
cleanup(8) at the end of a message: https://www.postfix.org/MILTER_README.html.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

_VERSION = 6
# What it may do with a message: all that Postfix knows of, but for macros.
_ACTIONS = 0xFF
_NEGOTIATE = b"O"
_END_OF_BODY = b"E"
_ACCEPT = b"a"
# Commands that nothing is answered to: macros, abort, quit.
_SILENT = b"DAQK"
_CONTINUE = b"c"

Edit = tuple[bytes, bytes]


def add_header(name: str, value: str) -> Edit:
    """A header at the end of the headers."""
    return b"h", _strings(name, value)


def insert_header(index: int, name: str, value: str) -> Edit:
    """A header in front of the one with this index."""
    return b"i", struct.pack("!I", index) + _strings(name, value)


def change_header(name: str, value: str, index: int = 1) -> Edit:
    """Another value for a header; none removes it."""
    return b"m", struct.pack("!I", index) + _strings(name, value)


def add_recipient(address: str) -> Edit:
    """One more recipient."""
    return b"+", _strings(f"<{address}>")


def remove_recipient(address: str) -> Edit:
    """One recipient less."""
    return b"-", _strings(f"<{address}>")


def change_sender(address: str) -> Edit:
    """Another envelope sender."""
    return b"e", _strings(f"<{address}>")


def replace_body(body: bytes) -> Edit:
    """Another body; lines end in CR LF."""
    return b"b", body


def quarantine(reason: str) -> Edit:
    """Put the message on hold."""
    return b"q", _strings(reason)


def _strings(*values: str) -> bytes:
    return b"".join(value.encode() + b"\0" for value in values)


class Milter:
    """Listens on a socket, from construction until `stop`.

    edits    what it does to the messages that come from now on
    """

    def __init__(self, path: Path) -> None:
        self.edits: Sequence[Edit] = ()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(path))
        path.chmod(0o666)
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, name="milter")
        self._thread.start()

    @property
    def parameter(self) -> str:
        """What smtpd_milters is to say."""
        return f"unix:{self._listener.getsockname()}"

    def stop(self) -> None:
        """Serve the clients that are there, and no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as reader:
                while header := reader.read(5):
                    (size,) = struct.unpack("!I", header[:4])
                    self._answer(client, header[4:], reader.read(size - 1))

    def _answer(self, client: socket.socket, command: bytes, data: bytes) -> None:
        if command == _NEGOTIATE:
            # Every step of the protocol is wanted, and each gets an answer.
            _send(client, _NEGOTIATE, struct.pack("!III", _VERSION, _ACTIONS, 0))
        elif command == _END_OF_BODY:
            for edit in self.edits:
                _send(client, *edit)
            _send(client, _ACCEPT)
        elif command not in _SILENT:
            _send(client, _CONTINUE)


def _send(client: socket.socket, command: bytes, data: bytes = b"") -> None:
    client.sendall(struct.pack("!I", 1 + len(data)) + command + data)
