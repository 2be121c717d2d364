"""Talk to a running service: one line of JSON as the command, one as the answer.

    {"command": "status"}

Raises: NotRunningError, ControlError.
"""

from __future__ import annotations

import json
import socket
from typing import Any

Answer = dict[str, Any]


def control_path(name: str) -> str:
    """The socket of a service, below queue_directory."""
    return f"pid/postvirt-{name}.control"


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
