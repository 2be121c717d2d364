"""Logical lines of a text file: without comments, continuation lines joined.

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

    Empty lines and lines whose first character that is not white space is "#" are
    skipped, also between a line and its continuation. A line that begins with white
    space continues the line before; only the newline between them is removed. A
    continuation without a line before it is skipped with a complaint, which names path.
    """
    physical_lines = content.split(b"\n")
    if not physical_lines[-1]:
        del physical_lines[-1]
    return joined(physical_lines, path, complain)


def joined(
    physical_lines: Iterable[bytes], path: str, complain: Complain
) -> Iterator[tuple[int, bytes]]:
    """The same for lines without their newlines, for a file that is read in pieces."""
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
    """Whether this does not begin with a continuation; a complaint if it does."""
    if line[:1] not in _SPACE:
        return True
    shown = text(line[:30]) + ("..." if len(line) > 30 else "")
    why = f'{path}: logical line must not start with whitespace: "{shown}"'
    complain(Complaint(Kind.LINE, why, file=path))
    return False
