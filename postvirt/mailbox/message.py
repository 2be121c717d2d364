"""The message as it is written: envelope headers, then the content.

Parity: the first half of src/global/mail_copy.c.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, Protocol

from postvirt.codec.quoting import quote_local
from postvirt.system import whereabouts


class Content(Protocol):
    """Message content that can be read once for each recipient.

    queue_file_bytes is the size of the file that contains it, 0 if there is none.
    """

    queue_file_bytes: int

    def chunks(self, *, quote_from: bool) -> Iterator[bytes]:
        """The text, ending with a newline; quote_from puts ">" before From lines.

        Raises: QueueFileError when it is damaged.
        """


class Envelope:
    """The addresses in the lines before the message, in internal form.

    original_recipient is empty if there must not be an X-Original-To line.
    """

    __slots__ = ("original_recipient", "recipient", "sender")

    def __init__(
        self, sender: bytes, original_recipient: bytes, recipient: bytes
    ) -> None:
        self.sender: Final = sender
        self.original_recipient: Final = original_recipient
        self.recipient: Final = recipient


def envelope_headers(envelope: Envelope) -> bytes:
    """Return-Path, X-Original-To and Delivered-To."""
    lines = [b"Return-Path: <%b>\n" % _quoted_sender(envelope)]
    if envelope.original_recipient:
        lines.append(b"X-Original-To: %b\n" % quote_local(envelope.original_recipient))
    lines.append(b"Delivered-To: %b\n" % quote_local(envelope.recipient))
    return b"".join(lines)


def from_line(envelope: Envelope, now: float) -> bytes:
    """The line that starts a message in an mbox file, with the local time."""
    sender = _quoted_sender(envelope) or b"MAILER-DAEMON"
    return b"From %b  %b\n" % (sender, _date(int(now)))


@lru_cache(maxsize=1)
def _date(now: int) -> bytes:
    return time.asctime(time.localtime(now)).encode()


def _quoted_sender(envelope: Envelope) -> bytes:
    return quote_local(envelope.sender) if envelope.sender else b""


def write_message(fd: int, head: bytes, content: Iterable[bytes], tail: bytes) -> None:
    """Write everything; the head goes out together with the first chunk.

    Raises: OSError; the caller has to remove what has been written.
    """
    pending = head
    for chunk in content:
        whereabouts.notes.beat()  # a large message may take long
        if pending:
            _write_all(fd, (pending, chunk))
            pending = b""
        else:
            _write_all(fd, (chunk,))
    if pending or tail:
        _write_all(fd, (pending, tail))


def hand_over(fd: int) -> None:
    """Make the file system report now the errors that it reports on close(2).

    Some network and FUSE file systems send data, or refuse it, only then. For them the
    close of any descriptor of the file counts; this one leaves the file open.

    Raises: OSError.
    """
    os.close(os.dup(fd))


def _write_all(fd: int, parts: tuple[bytes, ...]) -> None:
    size = 0
    for part in parts:
        size += len(part)
    written = os.writev(fd, parts)
    if written == size:
        return
    # A short write: the file has reached its size limit, or the disk is full. The next
    # write reports which.
    rest = memoryview(b"".join(parts))[written:]
    while rest:
        written = os.write(fd, rest)
        rest = rest[written:]
