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
import time

# What the module socket adds to it is Python code, which takes longer than the rest.
from _socket import AF_UNIX, SOCK_NONBLOCK, SOCK_STREAM, socket
from collections.abc import Callable
from typing import Final, cast

from postvirt.codec.announcement import decode_announcement
from postvirt.codec.attributes import NeedData, SurplusError, end_of_input
from postvirt.codec.notice import decode_status
from postvirt.errors import ProtocolError
from postvirt.model.effects import Pause, Ready, Steps
from postvirt.system import log
from postvirt.system.descriptors import close

_RECEIVE_BYTES: Final = 4096
_CONNECT_AGAIN_SECONDS: Final = 0.02

_NON_BLOCKING_STREAM: Final = SOCK_STREAM | SOCK_NONBLOCK


# Finds where a greeting ends, or what status an answer has, from an offset on; the text
# is the peer's name.
Decode = Callable[[bytes, int, str], int | NeedData]


def exchange(
    service: str,
    protocol: bytes,
    request: bytes,
    timeout: float,
    decode_greeting: Decode | None = None,
    decode_answer: Decode | None = None,
) -> Steps[int | None]:
    """Connect, check the announcement, send the request, return the status.

    service is class and name ("private/bounce"); protocol is what it announces, b"" if
    it has no greeting; timeout is the time limit in seconds for each read or write
    (ipc_timeout). The status is None if there is no valid answer. A service whose
    greeting or answer is another one has functions that decode it.
    """
    try:
        connection = socket(AF_UNIX, _NON_BLOCKING_STREAM)
    except OSError as error:
        log.warning(f"connect to {service}: {log.errno_text(error)}")
        return None
    try:
        try:
            if not _connects(connection, service):
                yield from _connect_again(connection, service, timeout)
        except OSError as error:
            log.warning(f"connect to {service}: {log.errno_text(error)}")
            return None
        peer = f"{service} socket"
        talk = _Talk(connection, timeout, peer)
        doing = "read"
        try:
            start = 0
            if protocol or decode_greeting:
                begin: int | NeedData = NeedData.LIST
                while isinstance(begin, NeedData):
                    yield from talk.receive(begin)
                    if decode_greeting:
                        begin = decode_greeting(talk.received, 0, peer)
                    else:
                        begin = decode_announcement(protocol, talk.received, 0, peer)
                start = begin
            doing = "write/read"
            yield from talk.send(request)
            decode = decode_answer or _status
            status = decode(talk.received, start, peer)
            while isinstance(status, NeedData):
                yield from talk.receive(status)
                status = decode(talk.received, start, peer)
            return status
        except ProtocolError as mistake:
            if str(mistake):
                log.warning(str(mistake))
            log.warning(f"{doing} {peer}: no valid answer")
        except OSError as error:
            log.warning(f"{doing} {peer}: {log.errno_text(error)}")
        return None
    finally:
        close(connection.detach())  # what the service has said counts


def _status(received: bytes, start: int, peer: str) -> int | NeedData:
    """The answer; it is valid even if more follows: the service has done its work."""
    try:
        return decode_status(received, start, peer)
    except SurplusError as error:
        log.warning(str(error))
        return cast("int", error.values[0])


def _connects(connection: socket, service: str) -> bool:
    """Connect; False if the service's backlog is full."""
    try:
        connection.connect(service)
    except BlockingIOError:
        return False
    return True


def _connect_again(connection: socket, service: str, timeout: float) -> Steps[None]:
    """Connect although the service's backlog is full.

    The kernel does not report when it has room again.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() <= deadline:
        yield Pause(_CONNECT_AGAIN_SECONDS)
        if _connects(connection, service):
            return
    raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


class _Talk:
    """A connection, and what has been received over it."""

    __slots__ = ("_connection", "_has_waited", "_peer", "_timeout", "received")

    def __init__(self, connection: socket, timeout: float, peer: str) -> None:
        self.received = b""
        self._connection = connection
        self._timeout = timeout
        self._peer = peer
        self._has_waited = False

    def receive(self, wanted: NeedData) -> Steps[None]:
        """Read what comes next."""
        try:
            yield from self._wait(writes=False)
        except TimeoutError:
            late = str(end_of_input(self.received, wanted, self._peer, "timeout"))
            if late:
                log.warning(late)
            raise
        data = self._connection.recv(_RECEIVE_BYTES)
        if not data:
            raise end_of_input(self.received, wanted, self._peer)
        self.received += data

    def send(self, data: bytes) -> Steps[None]:
        """Write everything."""
        while data:
            try:
                sent = self._connection.send(data)
            except BlockingIOError:
                sent = 0
            if not sent:
                yield from self._wait(writes=True)
            data = data[sent:]

    def _wait(self, *, writes: bool) -> Steps[None]:
        fd = self._connection.fileno()
        again, self._has_waited = self._has_waited, True
        if not (yield Ready(fd, self._timeout, writes=writes, again=again)):
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
