"""Read the message content of a queue file.

A small message is decoded once for all recipients of the request; a large one is read
again for each, so that memory stays bounded.

Parity: rec_get() with pointers followed and padding skipped, src/global/record.c.
Differs: Corrupt queue files. When a mailbox reaches its limit and the queue file is
    corrupt further on, the message is kept as corrupt, because the content is read
    ahead; virtual(8) bounces it.
Differs: Queue files that cannot be read. When reading the queue file fails, because the
    disk fails or memory is short, the mail is deferred; virtual(8) marks the file as
    corrupt.
Raises: QueueFileError; QueueFileReadError for a read that fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from postvirt.codec.from_lines import quote_from_lines
from postvirt.codec.records import ERROR, Stop, cut_short, decode_content
from postvirt.errors import QueueFileError, QueueFileReadError
from postvirt.system import log

# Large enough that a message of usual size takes one read and becomes one write, small
# enough that several deliveries side by side do not matter.
BLOCK_BYTES = 262_144

# The largest message that is kept decoded.
KEEP_BYTES: Final = 4_194_304

# Postfix's own bound (REVERSE_JUMP_LIMIT) on pointers that do not lead forward, so that
# a loop of them ends.
MAX_REVERSE_JUMPS = 10_000


class QueueFileContent:
    """The content that begins at `offset` of the open queue file."""

    def __init__(self, fd: int, offset: int, queue_file_bytes: int = 0) -> None:
        self.queue_file_bytes = queue_file_bytes
        self._fd = fd
        self._offset = offset
        self._kept: list[bytes] | None = None

    def chunks(self, *, quote_from: bool) -> Iterator[bytes]:
        """The message text in pieces of moderate size; quote_from quotes From lines.

        A newline is added to a last line that has none.
        """
        plain = iter(self._kept) if self._kept is not None else self._decode()
        return quote_from_lines(plain) if quote_from else plain

    def _decode(self) -> Iterator[bytes]:
        kept: list[bytes] | None = []
        size = 0
        for chunk in self._read():
            size += len(chunk)
            if kept is not None:
                kept.append(chunk)
                if size > KEEP_BYTES:
                    kept = None
            yield chunk
        self._kept = kept

    def _read(self) -> Iterator[bytes]:
        position = self._offset
        rest = b""
        in_line = False
        jumps = _Jumps()
        while True:
            block = self._pread(position + len(rest))
            buffer = rest + block if rest else block
            decoded = decode_content(buffer, in_line=in_line)
            if decoded.pieces:
                yield b"".join(decoded.pieces)
            if decoded.stop is None:
                return
            in_line = decoded.in_line
            position += decoded.used
            rest = buffer[decoded.used :]
            if decoded.stop is Stop.JUMP:
                rest = b""
                if decoded.jump:
                    position = decoded.jump
                    jumps.follow(position)
                    self._seek(position)
            elif not block:
                raise cut_short(rest)

    def _seek(self, offset: int) -> None:
        # Reading does not need it, but only lseek(2) reports an offset that no file can
        # have.
        try:
            os.lseek(self._fd, offset, os.SEEK_SET)
        except OSError as error:
            reason = f"seek error after pointer record: {os.strerror(error.errno or 0)}"
            raise QueueFileError(ERROR, reason) from None

    def _pread(self, offset: int) -> bytes:
        # Allocating a whole block takes longer than reading a small message.
        size = self.queue_file_bytes - offset
        if not 0 < size < BLOCK_BYTES:
            size = BLOCK_BYTES
        try:
            return os.pread(self._fd, size, offset)
        except OSError as error:
            raise QueueFileReadError(log.errno_text(error)) from None


class _Jumps:
    """Counts the pointers that do not lead forward."""

    def __init__(self) -> None:
        self._last = 0
        self._reverse_count = 0

    def follow(self, offset: int) -> None:
        if offset <= self._last:
            self._reverse_count += 1
            if self._reverse_count > MAX_REVERSE_JUMPS:
                raise QueueFileError(ERROR, "too many reverse jump records")
        self._last = offset
