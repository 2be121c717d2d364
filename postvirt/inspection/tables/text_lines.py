"""Text files of any size, one line at a time.

Raises: nothing from `line_of`; OSError, and ValueError if it is not a text, from
`logical_lines_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from postvirt.model.text import text, wire
from postvirt.tables.complaint import ignore_complaint
from postvirt.tables.text_file import joined

# No person wrote a longer line, and it is not worth the memory.
MOST_BYTES = 1 << 18

_LINES_BETWEEN = 10_000

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def line_of(path: str, number: int) -> str:
    """A line of a file, "" when it cannot be read."""
    try:
        with open(wire(path), "rb") as file:
            for at in range(1, number + 1):
                line = file.readline(MOST_BYTES)
                if at == number:
                    return text(line.rstrip(b"\r\n"))
    except OSError:
        pass
    return ""


def logical_lines_of(
    path: str, tell: Callable[[int], object] = lambda _: None
) -> Iterator[tuple[int, bytes]]:
    """Numbers and logical lines; `tell` is told how many bytes have been read.

    A line that begins with white space but continues nothing is skipped.
    """
    with open(wire(path), "rb") as file:
        yield from joined(_physical(file, tell), path, ignore_complaint)


def _physical(file: BinaryIO, tell: Callable[[int], object]) -> Iterator[bytes]:
    done = 0
    for count, line in enumerate(iter(lambda: file.readline(MOST_BYTES), b""), start=1):
        done += len(line)
        if not count % _LINES_BETWEEN:
            tell(done)
        if not line.endswith(b"\n") and len(line) >= MOST_BYTES:
            raise ValueError(f"line {count} is too long for a text file")
        yield line.removesuffix(b"\n")
