"""Send one request to another Postfix service, over its socket in the queue directory.

Parity: src/global/mail_command_client.c, mail_connect.c; the log lines are theirs.
Differs: Services that do not announce themselves. A bounce, defer, trace, verify or
    flush service that does not announce its protocol is told nothing; virtual(8) warns
    and tells it all the same, or complains that it cannot write.
Differs: What a service did. A warning about a service that hangs up or sends nonsense
    says so; virtual(8) ends it with the text of errno, which may be left over from an
    earlier call.
Raises: nothing; a service that cannot be asked has no status, and the log has one or
two warnings.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from typing import cast

from postvirt.codec.announcement import decode_announcement
from postvirt.codec.attributes import NeedData, SurplusError, end_of_input
from postvirt.codec.notice import decode_status
from postvirt.errors import ProtocolError
from postvirt.model.effects import Pause, Ready, Steps
from postvirt.system import log
from postvirt.system.descriptors import close

_RECEIVE_BYTES = 4096
_CONNECT_AGAIN_SECONDS = 0.02


def exchange(
    service: str, protocol: bytes, request: bytes, timeout: float
) -> Steps[int | None]:
    """Connect, check the announcement, send the request, return the status.

    service is class and name ("private/bounce"); protocol is what it announces, b"" if
    it has no greeting; timeout is the time limit in seconds for each read or write
    (ipc_timeout). The status is None if there is no valid answer.
    """
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        log.warning(f"connect to {service}: {log.errno_text(error)}")
        return None
    try:
        try:
            connection.setblocking(False)
            yield from _connect(connection, service, timeout)
        except OSError as error:
            log.warning(f"connect to {service}: {log.errno_text(error)}")
            return None
        peer = f"{service} socket"
        talk = _Talk(connection, timeout, peer)
        doing = "read"
        try:
            start = 0
            if protocol:
                start = yield from talk.receive(
                    lambda: decode_announcement(protocol, talk.buffer, 0, peer)
                )
            doing = "write/read"
            yield from talk.send(request)
            return (yield from talk.receive(lambda: _status(talk.buffer, start, peer)))
        except ProtocolError as error:
            if str(error):
                log.warning(str(error))
            log.warning(f"{doing} {peer}: no valid answer")
        except OSError as error:
            log.warning(f"{doing} {peer}: {log.errno_text(error)}")
        return None
    finally:
        close(connection.detach())  # what the service has said counts


def _status(buffer: bytearray, start: int, peer: str) -> int | NeedData:
    """The answer; it is valid even if more follows: the service has done its work."""
    try:
        return decode_status(buffer, start, peer)
    except SurplusError as error:
        log.warning(str(error))
        return cast("int", error.values[0])


def _connect(connection: socket.socket, service: str, timeout: float) -> Steps[None]:
    deadline = time.monotonic() + timeout
    while True:
        try:
            return connection.connect(service)
        except BlockingIOError:
            # The service's backlog is full; the kernel does not report when it has room
            # again.
            if time.monotonic() > deadline:
                raise TimeoutError(
                    errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)
                ) from None
        yield Pause(_CONNECT_AGAIN_SECONDS)


class _Talk:
    """A connection, and what has been received over it."""

    def __init__(self, connection: socket.socket, timeout: float, peer: str) -> None:
        self.buffer = bytearray()
        self._connection = connection
        self._timeout = timeout
        self._peer = peer

    def receive(self, decode: Callable[[], int | NeedData]) -> Steps[int]:
        """Read until the decoder has a result."""
        while isinstance(result := decode(), NeedData):
            try:
                yield from self._wait(writes=False)
            except TimeoutError:
                complaint = str(
                    end_of_input(self.buffer, result, self._peer, "timeout")
                )
                if complaint:
                    log.warning(complaint)
                raise
            data = self._connection.recv(_RECEIVE_BYTES)
            if not data:
                raise end_of_input(self.buffer, result, self._peer)
            self.buffer += data
        return result

    def send(self, data: bytes) -> Steps[None]:
        """Write everything."""
        while data:
            try:
                data = data[self._connection.send(data) :]
            except BlockingIOError:
                yield from self._wait(writes=True)

    def _wait(self, *, writes: bool) -> Steps[None]:
        ready = yield Ready(self._connection.fileno(), self._timeout, writes=writes)
        if not ready:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
