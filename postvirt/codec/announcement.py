"""The greeting of every Postfix service since 3.6: the protocol that it speaks.

A client that connects to the wrong socket notices at once and does not misunderstand
what follows. Older services send no greeting, except that a delivery agent says that it
is ready.

Parity: the MAIL_ATTR_PROTO lines of src/global/mail_proto.h.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from postvirt.codec.attributes import Field, Fields, Kind, NeedData, decode, encode
from postvirt.errors import ProtocolError
from postvirt.model.text import text

DELIVERY_REQUEST: Final = b"delivery_request_protocol"
DELIVERY_STATUS: Final = b"delivery_status_protocol"  # bounce, defer and trace
ADDRESS_VERIFICATION: Final = b"address_verification_prrotocol"  # sic; compared exactly
QUEUE_FLUSH: Final = b"queue_flush_protocol"

_FIELDS: Final = Fields(Field(b"protocol"))

# The greeting of a delivery agent up to Postfix 3.5.
READY: Final = encode(Fields(Field(b"status", Kind.INTEGER)), (0,))


@cache
def encode_announcement(protocol: bytes) -> bytes:
    """The greeting of a service."""
    return encode(_FIELDS, (protocol,))


def decode_announcement(
    expected: bytes, buffer: bytes | bytearray, start: int, peer: str
) -> int | NeedData:
    """Check that the peer speaks the expected protocol; the offset after the list."""
    if not start and buffer == encode_announcement(expected):
        return len(buffer)
    result = decode(_FIELDS, buffer, start, peer)
    if isinstance(result, NeedData):
        return result
    (protocol,), end = result
    assert isinstance(protocol, bytes)
    if protocol != expected:
        raise ProtocolError(
            f"unexpected protocol {text(protocol)} from {peer} "
            f"(expected: {text(expected)})"
        )
    return end
