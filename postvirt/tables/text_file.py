"""Logical lines of a text file: comments gone, continuation lines joined.

Parity: readllines() of src/util/readlline.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from postvirt.model.text import text
from postvirt.tables.complaint import Complain, Complaint, Kind
from postvirt.tables.syntax import SPACE

_SPACE = SPACE.encode()


def logical_lines(
    content: bytes, path: str, complain: Complain
) -> Iterator[tuple[int, bytes]]:
    """Pairs of a 1-based line number and the logical line that begins there.

    Blank lines and lines whose first character is "#" are dropped, also between a line
    and its continuation. A line that begins with white space continues the one before;
    only the newline between them goes. A continuation of nothing is dropped, which is
    complained of; path is for that complaint.
    """
    physical_lines = content.split(b"\n")
    if not physical_lines[-1]:
        del physical_lines[-1]
    return joined(physical_lines, path, complain)


def joined(
    physical_lines: Iterable[bytes], path: str, complain: Complain
) -> Iterator[tuple[int, bytes]]:
    """The same of lines without their newlines, for a file that is not read at once."""
    begin = 0
    pending = b""
    for number, line in enumerate(physical_lines, start=1):
        stripped = line.lstrip(_SPACE)
        if not stripped or stripped.startswith(b"#"):
            continue
        if not pending:
            begin, pending = number, line
        elif line[:1] in _SPACE:
            pending += line
        else:
            if _is_whole(pending, path, complain):
                yield begin, pending
            begin, pending = number, line
    if pending and _is_whole(pending, path, complain):
        yield begin, pending


def _is_whole(line: bytes, path: str, complain: Complain) -> bool:
    """Whether the beginning is there; a complaint if it is not."""
    if line[:1] not in _SPACE:
        return True
    shown = text(line[:30]) + ("..." if len(line) > 30 else "")
    why = f'{path}: logical line must not start with whitespace: "{shown}"'
    complain(Complaint(Kind.LINE, why, file=path))
    return False
