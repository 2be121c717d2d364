"""The ">" before lines that an mbox reader would take for the start of a message.

Parity: MAIL_COPY_QUOTE in src/global/mail_copy.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_FROM = b"From "


def quote_from_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks with every line that begins with "From " quoted.

    A chunk must not end inside a "From " at the start of a line; those of queuefile
    end where a record ends.
    """
    at_line_start = True
    for chunk in chunks:
        if at_line_start and chunk.startswith(_FROM):
            yield b">"
        yield chunk.replace(b"\n" + _FROM, b"\n>" + _FROM)
        at_line_start = chunk.endswith(b"\n")
