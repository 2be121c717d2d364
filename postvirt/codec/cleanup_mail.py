"""A message for cleanup(8), as other programs of Postfix send one.

The service tells the queue ID first. It receives its flags, then records: the envelope,
a record for each line of the message, and the end; and answers with a status.

Parity: src/global/post_mail.c, src/cleanup/cleanup.c.
Raises: ProtocolError.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from postvirt.codec.attributes import Field, Fields, Kind, NeedData, decode, encode
from postvirt.errors import ProtocolError
from postvirt.model.text import text

_PROTOCOL: Final = b"cleanup_protocol"

_GREETING: Final = Fields(Field(b"protocol"), Field(b"queue_id"))
_OLD_GREETING: Final = Fields(Field(b"queue_id"))  # up to Postfix 3.5
_FLAGS: Final = Fields(Field(b"flags", Kind.INTEGER))
_ANSWER: Final = Fields(Field(b"status", Kind.INTEGER), Field(b"reason"))

# CLEANUP_FLAG_MASK_INTERNAL: addresses are mapped.
_INTERNAL: Final = 1 << 5


def decode_greeting(buffer: bytes | bytearray, start: int, peer: str) -> int | NeedData:
    """Where the greeting ends."""
    is_old = bytes(buffer[start : start + 1]) == b"q"
    result = decode(_OLD_GREETING if is_old else _GREETING, buffer, start, peer)
    if isinstance(result, NeedData):
        return result
    values, end = result
    if not is_old and values[0] != _PROTOCOL:
        protocol = text(cast("bytes", values[0]))
        raise ProtocolError(f"unexpected protocol {protocol} from {peer}")
    return end


def decode_answer(buffer: bytes | bytearray, start: int, peer: str) -> int | NeedData:
    """The status: 0 for a message that is in the queue."""
    result = decode(_ANSWER, buffer, start, peer)
    return result if isinstance(result, NeedData) else cast("int", result[0][0])


def encode_mail(recipient: bytes, message: bytes, now: int) -> bytes:
    """The request to queue a message from the null sender.

    now is the time in seconds since 1970.
    """
    return encode(_FLAGS, (_INTERNAL,)) + b"".join(_records(recipient, message, now))


def _records(recipient: bytes, message: bytes, now: int) -> Iterator[bytes]:
    yield _record(b"T", b"%d 0" % now)
    yield _record(b"A", b"log_message_origin=local")
    yield _record(b"S", b"")
    yield _record(b"R", recipient)
    yield _record(b"M", b"")
    for line in message.removesuffix(b"\n").split(b"\n"):
        yield _record(b"N", line)
    yield _record(b"X", b"")
    yield _record(b"E", b"")


def _record(kind: bytes, data: bytes) -> bytes:
    length = bytearray()
    left = len(data)
    while left > 0x7F:
        length.append(left & 0x7F | 0x80)
        left >>= 7
    length.append(left)
    return kind + length + data
