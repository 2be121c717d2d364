"""Accept clients that another process passes on: the transport "pass".

That process connects, sends the client's descriptor with one byte, and then the
attributes of the client's connection, which end with an empty name.

Parity: pass_accept_attr() in src/util/pass_accept.c; virtual(8) does not use the
    attributes, and neither does postvirt.
Differs: Reasons on the pass transport. When the process that passes clients on fails,
    the warning says so; Postfix may log the text of an earlier error.
Raises: nothing; errors are logged.
"""

from __future__ import annotations

import socket

from postvirt.model.effects import Ready, Steps
from postvirt.system import log
from postvirt.system.descriptors import close

_SECONDS = 100.0

# Attributes are a few addresses.
_MOST_BYTES = 65_536


def receive_client(connection: socket.socket) -> Steps[int | None]:
    """The client's descriptor; None when none was received."""
    if not (yield Ready(connection.fileno(), _SECONDS, can_be_abandoned=True)):
        _complain("timeout receiving file descriptor: Connection timed out")
        return None
    try:
        _, fds, _, _ = socket.recv_fds(connection, 1, 1)
    except OSError as error:
        _complain(f"cannot receive file descriptor: {log.errno_text(error)}")
        return None
    if not fds:
        _complain("cannot receive file descriptor")
        return None
    try:
        is_whole = yield from _skip_attributes(connection)
    except BaseException:
        close(fds[0])
        raise
    if is_whole:
        return fds[0]
    _complain("cannot receive connection attributes")
    close(fds[0])
    return None


def _skip_attributes(connection: socket.socket) -> Steps[bool]:
    received = b""
    while not _are_whole(received):
        if not (yield Ready(connection.fileno(), _SECONDS, can_be_abandoned=True)):
            return False
        try:
            data = connection.recv(_MOST_BYTES)
        except OSError:
            return False
        received += data
        if not data or len(received) > _MOST_BYTES:
            return False
    return True


def _are_whole(received: bytes) -> bool:
    """Whether an empty name has come."""
    *strings, _ = received.split(b"\0")
    return b"" in strings[::2]


def _complain(what: str) -> None:
    log.warning(f"pass_accept_attr: {what}")
