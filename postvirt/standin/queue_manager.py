"""The queue manager's side of the delivery request protocol.

Parity: src/qmgr/qmgr_deliver.c.
Raises: OSError when no agent listens; TimeoutError when the agent takes too long;
ProtocolError when its answer violates the protocol.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from postvirt.codec.announcement import DELIVERY_REQUEST, decode_announcement
from postvirt.codec.attributes import NeedData
from postvirt.codec.delivery import decode_reply, encode_request
from postvirt.model.request import DeliveryRequest

_MAX_READ_BYTES = 65_536
_PEER = "delivery agent socket"


@dataclass(frozen=True, slots=True)
class Reply:
    """The agent's answer.

    status   0 if all recipients are done, -1 otherwise, None if the agent has closed
             the connection instead
    raw      all bytes, with those of the announcement
    """

    status: int | None
    raw: bytes


def deliver(
    path: Path, request: DeliveryRequest, timeout_seconds: float = 60.0
) -> Reply:
    """Ask the agent that listens on the socket at `path` to deliver a message."""
    return exchange(path, encode_request(request), timeout_seconds=timeout_seconds)


def exchange(
    path: Path,
    data: bytes,
    *,
    hang_up: bool = False,
    timeout_seconds: float = 60.0,
) -> Reply:
    """Wait for the announcement, send the bytes, wait for the status.

    hang_up ends the connection for writing after that, so that an agent that waits for
    more bytes sees the end.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_seconds)
        connection.connect(os.fspath(path))
        return converse(connection, data, hang_up=hang_up)


def converse(connection: socket.socket, data: bytes, *, hang_up: bool = False) -> Reply:
    """As `exchange`, on an open connection."""
    buffer = bytearray()
    announcement = partial(decode_announcement, DELIVERY_REQUEST, buffer, 0, _PEER)
    end = _receive(connection, buffer, announcement)
    if end is None:
        return Reply(None, bytes(buffer))
    try:
        connection.sendall(data)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
    except ConnectionError:
        pass  # the agent does not read any more; its answer may still be there
    status = _receive(connection, buffer, partial(decode_reply, buffer, end, _PEER))
    return Reply(status, bytes(buffer))


def _receive(
    connection: socket.socket, buffer: bytearray, decode: Callable[[], int | NeedData]
) -> int | None:
    """Read until the decoder has a result; None if the agent hangs up before."""
    while isinstance(result := decode(), NeedData):
        try:
            data = connection.recv(_MAX_READ_BYTES)
        except ConnectionError:
            return None
        if not data:
            return None
        buffer += data
    return result
