"""Talk with one client: announce the protocol, read the request, answer.

Parity: deliver_request_read() and deliver_request_done() in
src/global/deliver_request.c.
Raises: nothing for what the client does; a bad client never stops the next good one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from postvirt.codec.attributes import NeedData
from postvirt.codec.delivery import RequestDecoder, encode_reply
from postvirt.delivery.agent import TRY_AGAIN
from postvirt.errors import ProtocolError
from postvirt.model.request import DeliveryRequest, Timestamp
from postvirt.system import log

_RECEIVE_BYTES = 65_536

Serve = Callable[[DeliveryRequest], int]
# Wait until a descriptor is readable, for so many seconds or (None) without a limit;
# False when the time is over. Raises StoppingError.
WaitReadable = Callable[[int, float | None], bool]


class StoppingError(Exception):
    """The process is asked to stop, and what it waits for may never come."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A client on a pair of descriptors; both may be the same socket.

    peer is the client's name in log lines, "virtual socket"; greeting is what the agent
    says first.
    """

    reads: int
    writes: int
    peer: str
    ipc_timeout: float
    wait_readable: WaitReadable
    greeting: bytes

    def converse(self, serve: Serve) -> None:
        """Have the whole conversation; `serve` delivers and returns the status.

        Raises: StoppingError between the steps; a delivery that has begun is finished.
        """
        if not self._send(self.greeting):
            return
        # The queue manager may change its mind and hang up here; it may also take its
        # time, so there is no limit.
        self.wait_readable(self.reads, None)
        first = self._receive()
        if not first:
            return
        request = self._read_request(first)
        status = TRY_AGAIN if request is None else serve(request)
        if self._send(encode_reply(status)) and self.wait_readable(
            self.reads, self.ipc_timeout
        ):
            # Some systems lose data when a socket is closed right after a write, so
            # the client is the one who hangs up.
            self._receive()

    def _read_request(self, first: bytes) -> DeliveryRequest | None:
        decoder = RequestDecoder(self.peer)
        try:
            decoder.feed(first)
            while isinstance(request := decoder.next(), NeedData):
                decoder.feed(self._receive_more(decoder, request))
        except ProtocolError as error:
            if str(error):
                log.warning(str(error))
            log.warning(
                f"deliver_request_get: error receiving {decoder.part} attributes"
            )
            return None
        if request.stats.agent_handoff.seconds == 0:
            now = Timestamp(*divmod(time.time_ns() // 1000, 1_000_000))
            return replace(request, stats=replace(request.stats, agent_handoff=now))
        return request

    def _receive_more(self, decoder: RequestDecoder, wanted: NeedData) -> bytes:
        """The next bytes of a request that has begun.

        Raises: ProtocolError when there are none.
        """
        is_readable = self.wait_readable(self.reads, self.ipc_timeout)
        data = self._receive() if is_readable else b""
        if not data:
            what = "premature end-of-input" if is_readable else "timeout"
            raise decoder.end(wanted, what)
        return data

    def _receive(self) -> bytes:
        try:
            return os.read(self.reads, _RECEIVE_BYTES)
        except OSError:
            return b""

    def _send(self, data: bytes) -> bool:
        try:
            while data:
                data = data[os.write(self.writes, data) :]
        except OSError as error:
            log.debug(f"write {self.peer}: {log.errno_text(error)}")
            return False
        return True
