"""Write queue files as cleanup(8) does.

A queue file is a sequence of records: the envelope, the message content, and what was
extracted from it. The type of a record is one letter; see the constants.

Parity: src/global/record.c, rec_type.h and src/cleanup (cleanup_envelope.c,
cleanup_message.c, cleanup_final.c). postcat(1) prints such a file.
Raises: OSError when the file cannot be written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from postvirt.model.request import Recipient
from postvirt.standin.identity import Identity

SIZE = b"C"
TIME = b"T"
ATTRIBUTE = b"A"
SENDER = b"S"
ORIGINAL_RECIPIENT = b"O"
RECIPIENT = b"R"
DONE_RECIPIENT = b"D"
MESSAGE = b"M"
LINE = b"N"
PART_OF_LINE = b"L"
PADDING = b"w"
POINTER = b"p"
EXTRACTED = b"X"
END = b"E"

# line_length_limit: cleanup(8) stores longer lines in pieces of this size.
LINE_LENGTH_LIMIT_BYTES = 2048

# The mode of a file that cleanup(8) has finished; the queue manager requires the x
# bit of the owner, which means that the file is complete.
MODE = 0o700

_ARRIVAL_SECONDS = 1_700_000_000


@dataclass(frozen=True, slots=True)
class QueueFile:
    """A queue file on disk.

    data_offset is where the content starts, data_size its length (both in bytes); the
    recipients have the offsets of their records.
    """

    path: Path
    queue_name: bytes
    queue_id: bytes
    data_offset: int
    data_size: int
    sender: bytes
    recipients: tuple[Recipient, ...]


def encode_record(kind: bytes, data: bytes = b"") -> bytes:
    """One record: its type, the length of the data (base 128, low first), the data."""
    length = bytearray()
    rest = len(data)
    while rest >= 0x80:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return kind + bytes(length) + data


def encode_content(
    content: bytes, line_length_limit_bytes: int = LINE_LENGTH_LIMIT_BYTES
) -> bytes:
    """Message content as records, with the record that ends it."""
    lines = content.split(b"\n")
    if not lines[-1]:
        del lines[-1]
    records = [
        record
        for line in lines
        for record in _encode_line(line, line_length_limit_bytes)
    ]
    return b"".join(records) + encode_record(EXTRACTED)


def _encode_line(line: bytes, limit_bytes: int) -> Iterable[bytes]:
    start = 0
    while len(line) - start > limit_bytes:
        yield encode_record(PART_OF_LINE, line[start : start + limit_bytes])
        start += limit_bytes
    yield encode_record(LINE, line[start:])


def write_queue_file(
    path: Path,
    sender: bytes,
    recipients: Sequence[Recipient],
    content_records: bytes,
    owner: Identity,
) -> QueueFile:
    """Write a queue file; its path ends with the name of the queue and the queue ID.

    content_records are the records from the first line to the one that ends the
    content, as encode_content makes them; tests of hostile content bring their own.
    """
    envelope, placed = _encode_envelope(sender, recipients)
    size_record_bytes = len(encode_record(SIZE, _sizes(0, 0, 0)))
    data_offset = size_record_bytes + len(envelope)
    # The size covers the content without the record that ends it.
    data_size = len(content_records) - len(encode_record(EXTRACTED))
    path.write_bytes(
        encode_record(SIZE, _sizes(data_size, data_offset, len(recipients)))
        + envelope
        + content_records
        + encode_record(END)
    )
    path.chmod(MODE)
    owner.give(path)
    return QueueFile(
        path,
        os.fsencode(path.parent.name),
        os.fsencode(path.name),
        data_offset,
        data_size,
        sender,
        tuple(one._replace(offset=one.offset + size_record_bytes) for one in placed),
    )


def _sizes(data_size: int, data_offset: int, recipient_count: int) -> bytes:
    return b"%15d %15d %15d %15d %15d %15d" % (
        data_size,
        data_offset,
        recipient_count,
        0,  # flags for the queue manager
        data_size,
        0,  # SMTPUTF8 flags
    )


def _encode_envelope(
    sender: bytes, recipients: Sequence[Recipient]
) -> tuple[bytes, list[Recipient]]:
    # The offsets of the recipients count from the start of the envelope.
    envelope = bytearray()
    envelope += encode_record(TIME, b"%d 0" % _ARRIVAL_SECONDS)
    envelope += encode_record(ATTRIBUTE, b"create_time=%d" % _ARRIVAL_SECONDS)
    envelope += encode_record(ATTRIBUTE, b"rewrite_context=local")
    envelope += encode_record(SENDER, sender)
    placed = []
    for one in recipients:
        if one.dsn_original_recipient:
            value = b"dsn_orig_rcpt=" + one.dsn_original_recipient
            envelope += encode_record(ATTRIBUTE, value)
        if one.notify_flags:
            value = b"notify_flags=%d" % one.notify_flags
            envelope += encode_record(ATTRIBUTE, value)
        envelope += encode_record(ORIGINAL_RECIPIENT, one.original_recipient)
        placed.append(one._replace(offset=len(envelope)))
        envelope += encode_record(RECIPIENT, one.address)
    envelope += encode_record(MESSAGE)
    return bytes(envelope), placed
