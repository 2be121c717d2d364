"""The requests to the bounce, defer, trace, verify and flush services.

Parity: src/global/bounce.c, defer.c, trace.c, verify_clnt.c, flush_clnt.c.
"""

from __future__ import annotations

from typing import Final, cast

from postvirt.codec.attributes import Field, Fields, Kind, NeedData, decode, encode
from postvirt.codec.delivery import DSN_FIELDS, RECIPIENT_FIELDS, recipient_values
from postvirt.model.outcome import Dsn
from postvirt.model.request import Recipient
from postvirt.model.text import wire

APPEND: Final = 0  # the request number of "append to the log of this message"

APPEND_FIELDS: Final = Fields(
    Field(b"nrequest", Kind.INTEGER),
    Field(b"flags", Kind.INTEGER),
    Field(b"queue_id"),
    *RECIPIENT_FIELDS.all,
    *DSN_FIELDS.all,
)

VERIFY_FIELDS: Final = Fields(
    Field(b"request"),
    Field(b"address"),
    Field(b"recipient_status", Kind.INTEGER),
    Field(b"reason"),
)

FLUSH_FIELDS: Final = Fields(Field(b"request"), Field(b"site"), Field(b"queue_id"))

STATUS_FIELDS: Final = Fields(Field(b"status", Kind.INTEGER))


def encode_append(flags: int, queue_id: bytes, recipient: Recipient, dsn: Dsn) -> bytes:
    """One recipient's outcome, for the bounce, defer or trace service."""
    values = (
        APPEND,
        flags,
        queue_id,
        *recipient_values(recipient),
        wire(dsn.status),
        b"x-unix" if dsn.diagnostic else b"",
        wire(dsn.diagnostic),
        b"",
        b"",
        wire(dsn.action),
        wire(dsn.reason),
    )
    return encode(APPEND_FIELDS, values)


def encode_verify_update(address: bytes, recipient_status: int, reason: str) -> bytes:
    """The result of an address probe: status 0 deliverable, 1 deferred, 2 bounced."""
    values = (b"update", address, recipient_status, wire(reason))
    return encode(VERIFY_FIELDS, values)


def encode_flush_add(site: bytes, queue_id: bytes) -> bytes:
    """Tell the flush service that there is deferred mail for this domain."""
    return encode(FLUSH_FIELDS, (b"add", site, queue_id))


def encode_status(status: int) -> bytes:
    """A service's answer."""
    return encode(STATUS_FIELDS, (status,))


_SUCCESS: Final = encode_status(0)


def decode_status(buffer: bytes | bytearray, start: int, peer: str) -> int | NeedData:
    """Decode a service's answer."""
    if len(buffer) == start + len(_SUCCESS) and buffer.endswith(_SUCCESS):
        return 0
    result = decode(STATUS_FIELDS, buffer, start, peer)
    return result if isinstance(result, NeedData) else cast("int", result[0][0])
