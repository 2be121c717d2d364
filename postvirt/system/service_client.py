"""Ask another Postfix service one thing, over its socket below the queue directory.

Parity: src/global/mail_command_client.c, mail_connect.c; the texts logged are theirs.
Raises: nothing; a service that cannot be asked has no status, and the log has one or
two warnings.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import cast

from postvirt.codec.announcement import decode_announcement
from postvirt.codec.attributes import NeedData, SurplusError, end_of_input
from postvirt.codec.notice import decode_status
from postvirt.errors import ProtocolError
from postvirt.system import log

_RECEIVE_BYTES = 4096


def exchange(
    service: str, protocol: bytes, request: bytes, timeout: float
) -> int | None:
    """Connect, check the announcement, send the request, return the status.

    service is class and name ("private/bounce"), protocol what it announces, b"" when
    it waits in silence, timeout the seconds that each single read or write may take
    (ipc_timeout). Without an answer there is no status: None.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(service)
        except OSError as error:
            log.warning(f"connect to {service}: {log.errno_text(error)}")
            return None
        peer = f"{service} socket"
        buffer = bytearray()
        doing = "read"
        try:
            start = 0
            if protocol:
                start = _receive(
                    connection,
                    buffer,
                    peer,
                    lambda: decode_announcement(protocol, buffer, 0, peer),
                )
            doing = "write/read"
            connection.sendall(request)
            return _receive(
                connection, buffer, peer, lambda: _status(buffer, start, peer)
            )
        except ProtocolError as error:
            if str(error):
                log.warning(str(error))
            log.warning(f"{doing} {peer}: no valid answer")
        except OSError as error:
            log.warning(f"{doing} {peer}: {log.errno_text(error)}")
        return None


def _status(buffer: bytearray, start: int, peer: str) -> int | NeedData:
    """The answer. It counts when more follows: the service did what was asked of it."""
    try:
        return decode_status(buffer, start, peer)
    except SurplusError as error:
        log.warning(str(error))
        return cast("int", error.values[0])


def _receive(
    connection: socket.socket,
    buffer: bytearray,
    peer: str,
    decode: Callable[[], int | NeedData],
) -> int:
    """Read until the decoder has what it needs."""
    while isinstance(result := decode(), NeedData):
        try:
            data = connection.recv(_RECEIVE_BYTES)
        except TimeoutError:
            if complaint := str(end_of_input(buffer, result, peer, "timeout")):
                log.warning(complaint)
            raise
        if not data:
            raise end_of_input(buffer, result, peer)
        buffer += data
    return result
