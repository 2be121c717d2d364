"""The records of a queue file, as far as they hold message content.

A record is a type byte, the length of its data (base 128, low bits first, the high bit
says that another byte follows) and the data. N is a line, L a piece of one, w padding,
p sends the reader elsewhere, X is the end.

Parity: src/global/record.c, rec_type.h, and the copy loop of mail_copy.c.
Raises: QueueFileError; `record_type` is what Postfix logs, with its negative numbers
for "end of file" and "error".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from postvirt.errors import QueueFileError

LINE = ord("N")
PIECE = ord("L")
PADDING = ord("w")
POINTER = ord("p")
END_OF_CONTENT = ord("X")

END_OF_FILE = -1
ERROR = -2

# Postfix writes a length in five bytes at most.
MAX_LENGTH_BYTES = 5

# cleanup(8) writes records of at most line_length_limit bytes (2,048). A record must
# fit into memory, so a length far above every sensible limit is taken for corruption.
MAX_RECORD_BYTES = 16_777_216

_LARGEST_OFFSET = (1 << 63) - 1

_NEWLINE = b"\n"


class Stop(Enum):
    """Why decoding stopped before the end of the content."""

    MORE = "the buffer ends in the middle of a record"
    JUMP = "a pointer record"


@dataclass(slots=True)
class Decoded:
    """What one buffer held.

    pieces     the content's bytes, with newlines; b"".join(pieces) is the text
    used       bytes of the buffer that are done with
    stop       why it stopped; None at the end of the content
    jump       where a pointer record leads, 0 for "go on behind it"
    in_line    whether the last piece was part of a line (an L record)
    """

    pieces: list[bytes]
    used: int
    stop: Stop | None
    jump: int = 0
    in_line: bool = False


def decode_content(buffer: bytes, *, in_line: bool = False) -> Decoded:
    """Decode records from the start of `buffer` as far as it goes."""
    pieces: list[bytes] = []
    append = pieces.append
    position = 0
    size = len(buffer)
    # This loop runs once per line of every message: no calls, few lookups.
    while True:
        try:
            kind = buffer[position]
            length = buffer[position + 1]
        except IndexError:
            return Decoded(pieces, position, Stop.MORE, in_line=in_line)
        start = position + 2
        if length > 127:
            header = _long_length(buffer, position)
            if header is None:
                return Decoded(pieces, position, Stop.MORE, in_line=in_line)
            length, start = header
        end = start + length
        if end > size:
            return Decoded(pieces, position, Stop.MORE, in_line=in_line)
        if kind == LINE:
            append(buffer[start:end])
            append(_NEWLINE)
            in_line = False
        elif kind == PIECE:
            append(buffer[start:end])
            in_line = True
        elif kind == END_OF_CONTENT:
            if in_line:
                append(_NEWLINE)
            return Decoded(pieces, end, None)
        elif kind == POINTER:
            jump = _pointer(buffer[start:end])
            return Decoded(pieces, end, Stop.JUMP, jump, in_line)
        elif kind != PADDING:
            raise QueueFileError(kind)
        position = end


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
    """Where to go on; 0, also written as nothing at all, means "behind this record"."""
    digits = data.partition(b"\0")[0].lstrip()
    value = digits.lstrip(b"0") or b"0"
    if digits.strip(b"0123456789") or len(value) > 19 or int(value) > _LARGEST_OFFSET:
        raise QueueFileError(
            ERROR, f"malformed pointer record value: {digits.decode('latin-1')}"
        )
    return int(value)


def cut_short(rest: bytes) -> QueueFileError:
    """The error for a file that ends with `rest` where a whole record should be."""
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
