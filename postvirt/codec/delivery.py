"""The delivery request protocol between queue manager and delivery agent.

agent: announcement. queue manager: 23 attributes, then a list per recipient.
agent: how the next hop answered (always empty for a mailbox) and the status.

Parity: src/global/deliver_request.c, rcpt_buf.c, dsn_print.c.
Differs: Limits of a request. A delivery request has limits far above what the queue
    manager sends: 64 kilobytes for a value, 100,000 recipients, 32 megabytes in all.
    virtual(8) accepts any amount.
Differs: Bad requests. A request that is wrong in any way, or names a file that cannot
    be a queue file, is answered with "try again"; for many of them virtual(8) ends with
    a fatal error or a panic, and some mistakes in the last recipient it ignores.
Differs: One name of an attribute. The attribute sendopts, which has this name since
    Postfix 3.10, is understood with every version.
Raises: ProtocolError. `RequestDecoder.part` says whether it concerns the common
attributes or those of a recipient, because Postfix's second log line names the part.
"""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import Any, Final, cast

from postvirt.codec.attributes import (
    Field,
    Fields,
    Kind,
    NeedData,
    decode,
    encode,
    end_of_input,
)
from postvirt.codec.message_stats import decode_stats, encode_stats
from postvirt.errors import ProtocolError
from postvirt.model.request import DeliveryRequest, Recipient

# The queue manager sends at most qmgr_message_recipient_limit (20,000) recipients at
# once; this leaves room for a raised limit and bounds the memory that a peer can take.
MAX_RECIPIENTS: Final = 100_000

# Enough for 20,000 recipients with the longest addresses that SMTP allows, about 1,100
# bytes each.
MAX_REQUEST_BYTES: Final = 33_554_432

# The order is that of the fields of DeliveryRequest: the decoder relies on it.
REQUEST_FIELDS: Final = Fields(
    Field(b"flags", Kind.INTEGER, into="flags"),
    Field(b"queue_name", into="queue_name"),
    Field(b"queue_id", into="queue_id"),
    Field(b"offset", Kind.LONG, into="data_offset"),
    Field(b"size", Kind.LONG, into="data_size"),
    Field(b"nexthop", into="nexthop"),
    Field(b"encoding", into="encoding"),
    # Called sendopts since Postfix 3.10.
    Field(b"smtputf8", Kind.INTEGER, alias=b"sendopts", into="sendopts"),
    Field(b"sender", into="sender"),
    Field(b"envelope_id", into="envelope_id"),
    Field(b"ret_flags", Kind.INTEGER, into="ret_flags"),
    Field(b"time", Kind.DATA, into="stats"),
    Field(b"log_client_name", into="client_name"),
    Field(b"log_client_address", into="client_address"),
    Field(b"log_client_port", into="client_port"),
    Field(b"log_protocol_name", into="client_protocol"),
    Field(b"log_helo_name", into="client_helo"),
    Field(b"sasl_method", into="sasl_method"),
    Field(b"sasl_username", into="sasl_username"),
    Field(b"sasl_sender", into="sasl_sender"),
    Field(b"log_ident", into="log_ident"),
    Field(b"rewrite_context", into="rewrite_context"),
    Field(b"recipient_count", Kind.INTEGER, into="recipients"),
)
_FLAGS: Final = REQUEST_FIELDS.into.index("flags")
_STATS: Final = REQUEST_FIELDS.into.index("stats")
_RECIPIENTS: Final = REQUEST_FIELDS.into.index("recipients")

# Likewise, those of Recipient.
RECIPIENT_FIELDS: Final = Fields(
    Field(b"original_recipient", into="original_recipient"),
    Field(b"recipient", into="address"),
    Field(b"offset", Kind.LONG, into="offset"),
    Field(b"dsn_orig_rcpt", into="dsn_original_recipient"),
    Field(b"notify_flags", Kind.INTEGER, into="notify_flags"),
)

DSN_FIELDS: Final = Fields(
    Field(b"status"),
    Field(b"diag_type"),
    Field(b"diag_text"),
    Field(b"mta_type"),
    Field(b"mta_mname"),
    Field(b"action"),
    Field(b"reason"),
)

REPLY_FIELDS: Final = Fields(*DSN_FIELDS.all, Field(b"status", Kind.INTEGER))


# Makes a NamedTuple of values that are in its order already. Its own __new__ sorts out
# arguments first, in interpreted code, which takes several times as long.
_new: Final = tuple.__new__

_common_values = attrgetter(*REQUEST_FIELDS.into)
recipient_values = attrgetter(*RECIPIENT_FIELDS.into)


def encode_request(request: DeliveryRequest) -> bytes:
    """What the queue manager sends."""
    values = [*_common_values(request)]
    values[_STATS] = encode_stats(request.stats)
    values[_RECIPIENTS] = len(request.recipients)
    return encode(REQUEST_FIELDS, values) + b"".join(
        encode(RECIPIENT_FIELDS, recipient_values(recipient))
        for recipient in request.recipients
    )


class RequestDecoder:
    """Decodes a delivery request that arrives in pieces.

    Feed it what arrives; `next` returns the request once it is complete. `part` is what
    is being received: "common" or "recipient".
    """

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._buffer = b""  # not decoded yet
        self._received_bytes = 0
        self._common: list[Any] = []  # the request's values, once they are complete
        self._recipient_count = 0
        self._recipients: list[Recipient] = []

    @property
    def part(self) -> str:
        """The part that Postfix names when receiving it fails."""
        return "recipient" if self._common else "common"

    def feed(self, data: bytes) -> None:
        """Accept what the peer has sent."""
        self._buffer += data
        self._received_bytes += len(data)

    def end(self, wanted: NeedData, what: str) -> ProtocolError:
        """The error for input that ends now, before `wanted` is complete."""
        return end_of_input(self._buffer, wanted, self._peer, what)

    def next(self, received_at: int = 0) -> DeliveryRequest | NeedData:
        """Decode as much as has arrived; received_at is for MessageStats.agent_handoff.

        Raises: ProtocolError; the decoder cannot be used after that.
        """
        if self._received_bytes > MAX_REQUEST_BYTES:
            raise ProtocolError(
                f"request longer than {MAX_REQUEST_BYTES} bytes from {self._peer}"
            )
        start = 0
        if not self._common:
            result = decode(REQUEST_FIELDS, self._buffer, start, self._peer)
            if not isinstance(result, tuple):
                return result
            values, start = result
            self._take_common(values, received_at)
        while len(self._recipients) < self._recipient_count:
            result = decode(RECIPIENT_FIELDS, self._buffer, start, self._peer)
            if not isinstance(result, tuple):
                self._buffer = self._buffer[start:]
                return result
            values, start = result
            self._recipients.append(_new(Recipient, values))
        self._common[_RECIPIENTS] = tuple(self._recipients)
        return _new(DeliveryRequest, self._common)

    def _take_common(self, values: list[Any], received_at: int) -> None:
        values[_FLAGS] &= 0x7FFF_FFFF
        values[_STATS] = decode_stats(values[_STATS], received_at)
        self._common = values
        self._recipient_count = count = values[_RECIPIENTS]
        if count > MAX_RECIPIENTS:
            raise ProtocolError(f"{count} recipients in a request from {self._peer}")


@cache
def encode_reply(status: int) -> bytes:
    """The agent's reply: 0 if all recipients are done, -1 if any must be retried."""
    return encode(REPLY_FIELDS, (b"",) * 7 + (status,))


def decode_reply(buffer: bytes | bytearray, start: int, peer: str) -> int | NeedData:
    """Decode the agent's reply: its status, for the queue manager's side."""
    result = decode(REPLY_FIELDS, buffer, start, peer)
    return result if isinstance(result, NeedData) else cast("int", result[0][7])
