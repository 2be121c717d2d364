"""Serve one client: announce the protocol, read the request, send the status.

Parity: deliver_request_read() and deliver_request_done() in
src/global/deliver_request.c.
Differs: Clients that stop. A client that stops in the middle of a request is answered
    with "try again"; virtual(8) cannot write any more once a read has timed out, and
    the queue manager assumes that the delivery agent is broken.
Raises: nothing for what the client does; a bad client never stops the next good one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from postvirt.codec.attributes import NeedData
from postvirt.codec.delivery import RequestDecoder, encode_reply
from postvirt.delivery.agent import TRY_AGAIN
from postvirt.errors import ProtocolError
from postvirt.model.effects import Ready, Steps
from postvirt.model.request import DeliveryRequest
from postvirt.system import log
from postvirt.system.clock import now

_RECEIVE_BYTES: Final = 65_536

Serve = Callable[[DeliveryRequest], Steps[int]]


class Connection:
    """A client on a pair of descriptors; both may be the same socket.

    peer is the client's name in log lines, for example "virtual socket"; greeting is
    what the agent sends first.
    """

    __slots__ = ("greeting", "ipc_timeout", "peer", "reads", "writes")

    def __init__(
        self, reads: int, writes: int, peer: str, ipc_timeout: float, greeting: bytes
    ) -> None:
        self.reads = reads
        self.writes = writes
        self.peer = peer
        self.ipc_timeout = ipc_timeout
        self.greeting = greeting

    def greet(self) -> None:
        """Announce the protocol, as soon as the client is there.

        The watchdog process may answer the client from then on. There is always room
        for it in the buffer of a new connection.
        """
        try:
            os.write(self.writes, self.greeting)
        except OSError as error:
            log.debug(f"write {self.peer}: {log.errno_text(error)}")
            self._hang_up()

    def _hang_up(self) -> None:
        """Let nobody wait for what could not be sent."""
        with suppress(OSError), socket.socket(fileno=os.dup(self.writes)) as connection:
            connection.shutdown(socket.SHUT_RDWR)

    def converse(self, serve: Serve) -> Steps[None]:
        """Serve a client that was greeted; `serve` delivers and returns the status.

        This may be abandoned while it waits for the client, but not during a delivery.
        """
        # The queue manager may hang up here without a request. It may also take its
        # time, so there is no time limit.
        yield self._readable(None)
        first = self._receive()
        if not first:
            return
        request = yield from self._read_request(first)
        status = TRY_AGAIN if request is None else (yield from serve(request))
        # Linux keeps what was sent when the connection is closed right after that; on
        # other systems, Postfix has to wait until the client hangs up.
        yield from self._send(encode_reply(status))

    def _read_request(self, first: bytes) -> Steps[DeliveryRequest | None]:
        decoder = RequestDecoder(self.peer)
        try:
            decoder.feed(first)
            while not isinstance(request := decoder.next(now()), DeliveryRequest):
                decoder.feed((yield from self._receive_more(decoder, request)))
        except ProtocolError as error:
            if str(error):
                log.warning(str(error))
            log.warning(
                f"deliver_request_get: error receiving {decoder.part} attributes"
            )
            return None
        return request

    def _receive_more(self, decoder: RequestDecoder, wanted: NeedData) -> Steps[bytes]:
        """The next bytes of a request that has begun.

        Raises: ProtocolError when there are none.
        """
        is_readable = yield self._readable(self.ipc_timeout)
        data = self._receive() if is_readable else b""
        if not data:
            what = "premature end-of-input" if is_readable else "timeout"
            raise decoder.end(wanted, what)
        return data

    def _readable(self, seconds: float | None) -> Ready:
        return Ready(self.reads, seconds, can_be_abandoned=True)

    def _receive(self) -> bytes:
        try:
            return os.read(self.reads, _RECEIVE_BYTES)
        except OSError:
            return b""

    def _send(self, data: bytes) -> Steps[None]:
        """Write, unless the client has hung up, or does not read."""
        try:
            while data:
                try:
                    sent = os.write(self.writes, data)
                except BlockingIOError:
                    sent = 0
                data = data[sent:]
                if not sent and not (
                    yield Ready(self.writes, self.ipc_timeout, writes=True)
                ):
                    return
        except OSError as error:
            log.debug(f"write {self.peer}: {log.errno_text(error)}")
