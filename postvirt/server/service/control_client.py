"""Talk to a running service: one line of JSON as the command, one as the answer.

    {"command": "status"}

Raises: NotRunningError, ControlError.
Security: root asks root's processes only; nobody else can tell it what to do.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any, NamedTuple

Answer = dict[str, Any]

_UCRED = struct.Struct("=iII")


def control_path(name: str) -> str:
    """The socket of a service, below queue_directory."""
    return f"pid/postvirt-{name}.control"


def peer(connection: socket.socket) -> int:
    """The uid of the process at the other end, when it began to listen or connected."""
    size = _UCRED.size
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    uid: int = _UCRED.unpack(credentials)[1]
    return uid


class Running(NamedTuple):
    """A service: its name, and the queue_directory with its sockets."""

    queue_directory: str
    name: str


class NotRunningError(Exception):
    """No process listens on the socket."""


class ControlError(Exception):
    """The service ended without an answer, or does not answer in time."""


def ask(path: str, command: str, seconds: float) -> Answer:
    """The answer of the service that listens there.

    Raises: NotRunningError, ControlError; PermissionError.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(seconds)
        try:
            client.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunningError from None
        except BlockingIOError:  # too many clients wait
            raise ControlError("it does not answer") from None
        if peer(client) not in (0, os.geteuid()):
            raise ControlError("it is another user's")
        try:
            client.sendall(json.dumps({"command": command}).encode() + b"\n")
            with client.makefile("rb") as answers:
                line = answers.readline()
                if not line:
                    raise ControlError("it ended without an answer")
                answer: Answer = json.loads(line)
                if answer.get("ends"):
                    client.settimeout(answer["seconds"] + seconds)
                    answers.read()
        except TimeoutError:
            raise ControlError("it does not answer") from None
        except ConnectionError:
            raise ControlError("it ended without an answer") from None
    return answer
