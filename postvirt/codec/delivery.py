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
Raises: ProtocolError. Errors in the common attributes and in a recipient's are told
apart by `RequestDecoder.part`, because Postfix's second log line names the part.
"""

from __future__ import annotations

from functools import cache
from typing import cast

from postvirt.codec.attributes import (
    Field,
    Fields,
    Kind,
    NeedData,
    Value,
    decode,
    encode,
    end_of_input,
)
from postvirt.codec.message_stats import decode_stats, encode_stats
from postvirt.errors import ProtocolError
from postvirt.model.request import DeliveryRequest, Recipient, RequestFlag

# The queue manager sends at most qmgr_message_recipient_limit (20,000) recipients at
# once; this leaves room for a raised limit and bounds what a peer can make us hold.
MAX_RECIPIENTS = 100_000

# Room for 20,000 recipients with the longest addresses that SMTP knows, about 1,100
# bytes each.
MAX_REQUEST_BYTES = 33_554_432

REQUEST_FIELDS = Fields(
    Field(b"flags", Kind.INTEGER),
    Field(b"queue_name"),
    Field(b"queue_id"),
    Field(b"offset", Kind.LONG),
    Field(b"size", Kind.LONG),
    Field(b"nexthop"),
    Field(b"encoding"),
    Field(b"smtputf8", Kind.INTEGER, alias=b"sendopts"),  # its name since 3.10
    Field(b"sender"),
    Field(b"envelope_id"),
    Field(b"ret_flags", Kind.INTEGER),
    Field(b"time", Kind.DATA),
    Field(b"log_client_name"),
    Field(b"log_client_address"),
    Field(b"log_client_port"),
    Field(b"log_protocol_name"),
    Field(b"log_helo_name"),
    Field(b"sasl_method"),
    Field(b"sasl_username"),
    Field(b"sasl_sender"),
    Field(b"log_ident"),
    Field(b"rewrite_context"),
    Field(b"recipient_count", Kind.INTEGER),
)

RECIPIENT_FIELDS = Fields(
    Field(b"original_recipient"),
    Field(b"recipient"),
    Field(b"offset", Kind.LONG),
    Field(b"dsn_orig_rcpt"),
    Field(b"notify_flags", Kind.INTEGER),
)

DSN_FIELDS = Fields(
    Field(b"status"),
    Field(b"diag_type"),
    Field(b"diag_text"),
    Field(b"mta_type"),
    Field(b"mta_mname"),
    Field(b"action"),
    Field(b"reason"),
)

REPLY_FIELDS = Fields(*DSN_FIELDS, Field(b"status", Kind.INTEGER))


def recipient_values(recipient: Recipient) -> tuple[Value, ...]:
    """The values of RECIPIENT_FIELDS."""
    return (
        recipient.original_recipient,
        recipient.address,
        recipient.offset,
        recipient.dsn_original_recipient,
        recipient.notify_flags,
    )


def encode_request(request: DeliveryRequest) -> bytes:
    """What the queue manager sends."""
    common = encode(
        REQUEST_FIELDS,
        (
            request.flags,
            request.queue_name,
            request.queue_id,
            request.data_offset,
            request.data_size,
            request.nexthop,
            request.encoding,
            request.sendopts,
            request.sender,
            request.envelope_id,
            request.ret_flags,
            encode_stats(request.stats),
            request.client_name,
            request.client_address,
            request.client_port,
            request.client_protocol,
            request.client_helo,
            request.sasl_method,
            request.sasl_username,
            request.sasl_sender,
            request.log_ident,
            request.rewrite_context,
            len(request.recipients),
        ),
    )
    return common + b"".join(
        encode(RECIPIENT_FIELDS, recipient_values(recipient))
        for recipient in request.recipients
    )


class RequestDecoder:
    """A delivery request, as its bytes come in.

    Feed it what arrives; `next` gives the request once it is complete. `part` is what
    is being received now: "common" or "recipient".
    """

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._buffer = b""  # what is not decoded
        self._received_bytes = 0
        self._common: list[Value] | None = None
        self._recipients: list[Recipient] = []

    @property
    def part(self) -> str:
        """The part that Postfix names when something goes wrong with it."""
        return "common" if self._common is None else "recipient"

    def feed(self, data: bytes) -> None:
        """Take what the peer sent."""
        self._buffer += data
        self._received_bytes += len(data)

    def end(self, wanted: NeedData, what: str) -> ProtocolError:
        """The error for input that ends now, before `wanted` is complete."""
        return end_of_input(self._buffer, wanted, self._peer, what)

    def next(self) -> DeliveryRequest | NeedData:
        """Decode as far as the input goes.

        Raises: ProtocolError; the decoder is of no use after that.
        """
        if self._received_bytes > MAX_REQUEST_BYTES:
            raise ProtocolError(
                f"request longer than {MAX_REQUEST_BYTES} bytes from {self._peer}"
            )
        start = 0
        if self._common is None:
            result = decode(REQUEST_FIELDS, self._buffer, start, self._peer)
            if isinstance(result, NeedData):
                return result
            common, start = result
            self._stats = decode_stats(cast("bytes", common[11]))
            self._common = common
        count = cast("int", self._common[22])
        if count > MAX_RECIPIENTS:
            raise ProtocolError(f"{count} recipients in a request from {self._peer}")
        while len(self._recipients) < count:
            result = decode(RECIPIENT_FIELDS, self._buffer, start, self._peer)
            if isinstance(result, NeedData):
                self._buffer = self._buffer[start:]
                return result
            values, start = result
            self._recipients.append(_recipient(values))
        return self._request(self._common)

    def _request(self, values: list[Value]) -> DeliveryRequest:
        strings = cast("list[bytes]", values)
        numbers = cast("list[int]", values)
        return DeliveryRequest(
            flags=RequestFlag(numbers[0] & 0x7FFF_FFFF),
            queue_name=strings[1],
            queue_id=strings[2],
            data_offset=numbers[3],
            data_size=numbers[4],
            nexthop=strings[5],
            encoding=strings[6],
            sendopts=numbers[7],
            sender=strings[8],
            envelope_id=strings[9],
            ret_flags=numbers[10],
            stats=self._stats,
            client_name=strings[12],
            client_address=strings[13],
            client_port=strings[14],
            client_protocol=strings[15],
            client_helo=strings[16],
            sasl_method=strings[17],
            sasl_username=strings[18],
            sasl_sender=strings[19],
            log_ident=strings[20],
            rewrite_context=strings[21],
            recipients=tuple(self._recipients),
        )


def _recipient(values: list[Value]) -> Recipient:
    strings = cast("list[bytes]", values)
    numbers = cast("list[int]", values)
    return Recipient(
        original_recipient=strings[0],
        address=strings[1],
        offset=numbers[2],
        dsn_original_recipient=strings[3],
        notify_flags=numbers[4],
    )


@cache
def encode_reply(status: int) -> bytes:
    """The agent's last word: 0 when no recipient has to be tried again, else -1."""
    return encode(REPLY_FIELDS, (b"",) * 7 + (status,))


def decode_reply(buffer: bytes | bytearray, start: int, peer: str) -> int | NeedData:
    """Decode the status of the whole request, for the queue manager's side."""
    result = decode(REPLY_FIELDS, buffer, start, peer)
    return result if isinstance(result, NeedData) else cast("int", result[0][7])
