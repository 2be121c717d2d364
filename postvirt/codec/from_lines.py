"""The ">" before lines that an mbox reader would mistake for the start of a message.

Every line that begins with "From " in the text as it is written is quoted.

Parity: MAIL_COPY_QUOTE in src/global/mail_copy.c.
Differs: Quoted From lines. Every line of an mbox file that begins with "From " is
    quoted. virtual(8) checks the records of the queue file instead of the lines, and
    leaves such a line alone in two cases that cleanup(8) never produces: when "From "
    is spread over two records, and when a record contains a newline. A reader then sees
    two messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

_FROM: Final = b"From "


def quote_from_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks with every line that begins with "From " quoted."""
    at_line_start = True
    held = b""  # the start of a line that may become "From "
    for chunk in chunks:
        text = held + chunk
        held = b""
        last_line = text.rfind(b"\n") + 1
        if last_line or at_line_start:
            beginning = text[last_line : last_line + len(_FROM)]
            if len(beginning) < len(_FROM) and _FROM.startswith(beginning):
                text, held = text[:last_line], beginning
        if at_line_start and text.startswith(_FROM):
            yield b">"
        yield text.replace(b"\n" + _FROM, b"\n>" + _FROM)
        if text:
            at_line_start = text.endswith(b"\n")
    if held:
        yield held
