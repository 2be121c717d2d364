"""Ask another Postfix service one thing, over its socket below the queue directory.

Parity: src/global/mail_command_client.c, mail_connect.c; the texts logged are theirs.
Raises: nothing; a service that cannot be asked is a status of -1 and one or two
warnings, as everywhere in Postfix.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from postvirt.codec.announcement import decode_announcement
from postvirt.codec.attributes import NeedData, end_of_input
from postvirt.codec.notice import decode_status
from postvirt.errors import ProtocolError
from postvirt.system import log

FAILED = -1

_RECEIVE_BYTES = 4096


def exchange(service: str, protocol: bytes, request: bytes, timeout: float) -> int:
    """Connect, check the announcement, send the request, return the status.

    service is class and name ("private/bounce"), timeout the seconds that each single
    read or write may take (ipc_timeout).
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(service)
        except OSError as error:
            log.warning(f"connect to {service}: {log.errno_text(error)}")
            return FAILED
        peer = f"{service} socket"
        buffer = bytearray()
        doing = "read"
        try:
            start = _receive(
                connection,
                buffer,
                peer,
                lambda: decode_announcement(protocol, buffer, 0, peer),
            )
            doing = "write"
            connection.sendall(request)
            doing = "write/read"
            return _receive(
                connection, buffer, peer, lambda: decode_status(buffer, start, peer)
            )
        except ProtocolError as error:
            if str(error):
                log.warning(str(error))
            log.warning(f"{doing} {peer}: no valid answer")
        except OSError as error:
            log.warning(f"{doing} {peer}: {log.errno_text(error)}")
        return FAILED


def _receive(
    connection: socket.socket,
    buffer: bytearray,
    peer: str,
    decode: Callable[[], int | NeedData],
) -> int:
    """Read until the decoder has what it needs."""
    while isinstance(result := decode(), NeedData):
        data = connection.recv(_RECEIVE_BYTES)
        if not data:
            raise end_of_input(buffer, result, peer)
        buffer += data
    return result
