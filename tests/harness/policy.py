"""A client of a policy service, as smtpd(8) is one."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Self

from tests.harness.drop_in import TIMEOUT_SECONDS

_ATTRIBUTES = {
    "request": "smtpd_access_policy",
    "protocol_state": "RCPT",
    "protocol_name": "ESMTP",
    "client_address": "127.0.0.1",
    "sender": "alice@example.org",
    "recipient": "bob@example.com",
    "recipient_count": "0",
    "size": "0",
}


def policy_request(**attributes: object) -> bytes:
    """A request with these attributes instead of usual ones."""
    all_of_them = _ATTRIBUTES | attributes
    return (
        "".join(f"{name}={one}\n" for name, one in all_of_them.items()).encode() + b"\n"
    )


class PolicyClient:
    """A connection; address is the path of a socket, or a port, or a connection."""

    def __init__(self, address: Path | int | socket.socket) -> None:
        if isinstance(address, socket.socket):
            self.socket = address
        elif isinstance(address, int):
            self.socket = socket.create_connection(("127.0.0.1", address))
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(str(address))
        self.socket.settimeout(TIMEOUT_SECONDS)
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, **attributes: object) -> None:
        """Ask."""
        self.socket.sendall(policy_request(**attributes))

    def receive(self) -> str:
        """The action; "" when the service has hung up."""
        while b"\n\n" not in self._received:
            data = self.socket.recv(4096)
            if not data:
                assert not self._received
                return ""
            self._received += data
        answer, _, self._received = self._received.partition(b"\n\n")
        return answer.decode().removeprefix("action=")

    def ask(self, **attributes: object) -> str:
        """Ask, and wait for the action."""
        self.send(**attributes)
        return self.receive()
