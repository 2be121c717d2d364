"""The records of a queue file that contain message content.

A record is a type byte, the length of its data (base 128, low bits first; the high bit
means that another byte follows) and the data. N is a line, L a piece of a line, w
padding, p a pointer to where the content continues, X the end.

Parity: src/global/record.c, rec_type.h, and the copy loop of mail_copy.c.
Differs: Impossible lengths. A record that claims an impossible length is corrupt at
    once. virtual(8) asks for that much memory first, and a length of 2 gigabytes
    overflows.
Differs: Length of a record. The length of a record can have five bytes, although no
    program of Postfix writes as many; to the newest Postfix versions, such a message
    is corrupt.
Raises: QueueFileError; `record_type` is what Postfix logs, with its negative numbers
for "end of file" and "error".
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from postvirt.errors import QueueFileError

LINE: Final = ord("N")
PIECE: Final = ord("L")
PADDING: Final = ord("w")
POINTER: Final = ord("p")
END_OF_CONTENT: Final = ord("X")

END_OF_FILE: Final = -1
ERROR: Final = -2

# Postfix writes a length in at most five bytes.
MAX_LENGTH_BYTES: Final = 5

# cleanup(8) writes records of at most line_length_limit bytes (2,048). A record must
# fit into memory, so a length far above any sensible limit counts as corruption.
MAX_RECORD_BYTES: Final = 16_777_216

_LARGEST_OFFSET: Final = (1 << 63) - 1

# The lines of an attachment all have the same length. If there are more than a few of
# them, many are decoded at once, which is eight times as fast.
FEW_ALIKE: Final = 8
MOST_ALIKE: Final = 256


class Stop(Enum):
    """Why decoding stopped before the end of the content."""

    MORE = "the buffer ends in the middle of a record"
    JUMP = "a pointer record"


class Decoded:
    """The content of one buffer.

    pieces     the content's bytes, with newlines; b"".join(pieces) is the text
    used       the number of bytes that have been decoded
    stop       why decoding stopped; None at the end of the content
    jump       the offset in a pointer record, 0 for "continue after it"
    in_line    whether the last piece was part of a line (an L record)
    """

    __slots__ = ("in_line", "jump", "pieces", "stop", "used")

    def __init__(
        self,
        pieces: list[bytes],
        used: int,
        stop: Stop | None,
        jump: int = 0,
        *,
        in_line: bool = False,
    ) -> None:
        self.pieces: Final = pieces
        self.used: Final = used
        self.stop: Final = stop
        self.jump: Final = jump
        self.in_line: Final = in_line


def decode_content(  # noqa: C901 (the hot loop)
    buffer: bytes, *, in_line: bool = False
) -> Decoded:
    """Decode the complete records at the start of `buffer`."""
    pieces: list[bytes] = []
    lines: list[bytes] = []  # those after the pieces
    position = 0
    previous = -1  # the length of the previous line
    size = len(buffer)
    # This loop runs once per line of every message: no calls, few lookups.
    while True:
        try:
            kind = buffer[position]
            length = buffer[position + 1]
        except IndexError:
            break
        start = position + 2
        if length > 127:
            header = _long_length(buffer, position)
            if header is None:
                break
            length, start = header
        elif length == previous and kind == LINE:
            stride = 2 + length
            if buffer.startswith(buffer[position:start], position + FEW_ALIKE * stride):
                count = _count_alike(buffer, position, length)
                lines.append(_lines_alike(buffer, position, length, count))
                position += count * stride
                in_line = False
                continue
        end = start + length
        if end > size:
            break
        if kind == LINE:
            lines.append(buffer[start:end])
            previous = length
            in_line = False
        elif kind == PIECE:
            pieces += (*_ended(lines), buffer[start:end])
            lines.clear()
            in_line = True
        elif kind == END_OF_CONTENT:
            if in_line:
                lines.append(b"")
            pieces += _ended(lines)
            return Decoded(pieces, end, None)
        elif kind == POINTER:
            jump = _pointer(buffer[start:end])
            pieces += _ended(lines)
            return Decoded(pieces, end, Stop.JUMP, jump, in_line=in_line)
        elif kind != PADDING:
            raise QueueFileError(kind)
        position = end
    pieces += _ended(lines)
    return Decoded(pieces, position, Stop.MORE, in_line=in_line)


def _ended(lines: list[bytes]) -> list[bytes]:
    """The lines as one piece, with a newline after each; nothing if there are none."""
    return [b"\n".join([*lines, b""])] if lines else []


def _count_alike(buffer: bytes, position: int, length: int) -> int:
    """The number of lines of this length from `position` on, at most MOST_ALIKE."""
    stride = 2 + length
    end = position + min((len(buffer) - position) // stride, MOST_ALIKE) * stride
    kinds = buffer[position:end:stride]
    lengths = buffer[position + 1 : end : stride]
    count = len(kinds)
    if kinds.count(LINE) == count == lengths.count(length):
        return count  # in a tenth of the time that stripping takes
    return min(
        len(kinds) - len(kinds.lstrip(b"N")),
        len(lengths) - len(lengths.lstrip(buffer[position + 1 : position + 2])),
    )


def _lines_alike(buffer: bytes, position: int, length: int, count: int) -> bytes:
    """`count` lines of the same length, without the last newline."""
    stride = 2 + length
    # Between the data of two lines are two bytes, type and length: one is deleted, the
    # other becomes the newline.
    text = bytearray(buffer[position + 2 : position + count * stride])
    del text[length::stride]
    text[length :: length + 1] = b"\n" * (count - 1)
    return bytes(text)


def _long_length(buffer: bytes, position: int) -> tuple[int, int] | None:
    """Length and start of the data of a record whose length takes several bytes."""
    length = 0
    for index in range(MAX_LENGTH_BYTES):
        at = position + 1 + index
        if at >= len(buffer):
            return None
        byte = buffer[at]
        length |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if length > MAX_RECORD_BYTES:
                raise QueueFileError(
                    ERROR, f"illegal length {length}, record type {buffer[position]}"
                )
            return length, at + 1
    raise QueueFileError(ERROR, f"too many length bits, record type {buffer[position]}")


def _pointer(data: bytes) -> int:
    """The offset to continue at; 0 or an empty value means "after this record"."""
    digits = data.partition(b"\0")[0].lstrip()
    value = digits.lstrip(b"0") or b"0"
    if digits.strip(b"0123456789") or len(value) > 19 or int(value) > _LARGEST_OFFSET:
        raise QueueFileError(
            ERROR, f"malformed pointer record value: {digits.decode('latin-1')}"
        )
    return int(value)


def cut_short(rest: bytes) -> QueueFileError:
    """The error for a file that ends with `rest` instead of a complete record."""
    if not rest:
        return QueueFileError(END_OF_FILE)
    kind = rest[0]
    header = _long_length(rest, 0) if len(rest) > 1 else None
    if header is None:
        return QueueFileError(
            ERROR, f"unexpected EOF reading length, record type {kind}"
        )
    return QueueFileError(
        ERROR, f"unexpected EOF in data, record type {kind} length {header[0]}"
    )
