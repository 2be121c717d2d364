r"""Decode and encode maildirsize, the file that says how much a maildir holds.

    51200000S,1000C     the limit; a part that is missing means no such limit
    48321 17            bytes and messages, when they were counted
    2048 1              a message that has come
    -1024 -1            one that is gone

The sum of all lines but the first is what the maildir holds.

Lines of postvirt begin with a tab, which the other programs skip. It has two at most:
what it has counted, and what has come since, through all its processes. The latter
has a fixed width and is changed in its place, so that the file does not grow. It
begins with

    \t and a blank      all of it has its name in new/
    two \t              the last message may not have its name yet; while no process
                        holds the lock, one was killed in between

What was counted begins with two if something changed meanwhile or shortly before, and
then with a blank for each time that 4096 bytes of lines were replaced by their sum,
instead of being counted again.

Source: Maildir++ (README.maildirquota of Courier). Courier, Dovecot 2.3 and the VDA
    patch skip blanks in front of a number; Courier does not know a plus sign.
Raises: nothing. What cannot be read has to be counted again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, final

from postvirt.model.quota import NO_LIMIT, NOTHING, Limit, Use

# A file of this size has to be counted again, instead of growing further.
FULL_BYTES: Final = 5120

# The line for what has come, and the byte that it is settled by.
COME_BYTES: Final = 30
SETTLED: Final = b" "
_NOT_SETTLED: Final = b"\t"

_LARGEST: Final = 10**18
_LIMIT: Final = re.compile(rb"([0-9]{1,19})([SC])")
_COME_MARKS: Final = (b"\t" + SETTLED, b"\t" + _NOT_SETTLED)
_COME: Final = re.compile(rb"^\t[ \t][- 0-9]{27}$", re.MULTILINE)
# All at once, because a match for each line takes longer than reading the file.
_LINES: Final = re.compile(
    rb"^[ \t]*([+-]?[0-9]{1,18})[ \t]+([+-]?[0-9]{1,18})[ \t\r]*$", re.MULTILINE
)


@final
class SizeFile:
    """What a maildirsize says.

    lines        the number of lines after the limit
    come         what has come through postvirt since the count
    come_offset  where that line is; -1: nowhere
    is_settled   whether all of that is in new/
    is_exact     postvirt has counted, and nothing changed meanwhile or shortly before
    is_own       all lines are postvirt's
    summed       how many times 4096 bytes have been replaced by their sum since then
    """

    def __init__(
        self,
        limit: Limit,
        use: Use,
        *,
        lines: int = 1,
        come: Use = NOTHING,
        come_offset: int = -1,
        is_settled: bool = True,
        is_exact: bool = False,
        is_own: bool = False,
        summed: int = 0,
    ) -> None:
        self.limit: Final = limit
        self.use: Final = use
        self.lines: Final = lines
        self.come: Final = come
        self.come_offset: Final = come_offset
        self.is_settled: Final = is_settled
        self.is_exact: Final = is_exact
        self.is_own: Final = is_own
        self.summed: Final = summed

    @property
    def is_as_counted(self) -> bool:
        """Whether nothing has been added to what was counted."""
        return self.lines == 1 and not self.summed


def decode_size_file(data: bytes) -> SizeFile | None:
    """What the file says; None if it has to be counted again."""
    try:
        return _decode(data)
    except ValueError:
        return None


def _decode(data: bytes) -> SizeFile | None:
    first, counted, rest = data.split(b"\n", 2)
    size, count = map(int, counted.split())
    limit = _decode_first(first)
    if limit is None or _is_impossible(size, count):
        return None
    indent = len(counted) - len(counted.lstrip())
    is_own = counted.startswith(b"\t")
    is_exact = is_own and not counted.startswith(b"\t\t")
    lines, come, come_offset, is_settled = 1, NOTHING, -1, True
    if rest:
        if not rest.endswith(b"\n"):
            return None
        begin = _find_come(rest)
        if begin >= 0:
            end = begin + COME_BYTES
            line = rest[begin:end]
            come_size, come_count = map(int, line.split())
            come = Use(come_size, come_count)
            size += come_size
            count += come_count
            come_offset = len(data) - len(rest) + begin
            is_settled = line[1:2] == SETTLED
            lines = 2
            rest = rest[:begin] + rest[end:]
        if rest:
            is_own = False
            others = _LINES.findall(rest)
            if len(others) != rest.count(b"\n"):
                return None
            lines += len(others)
            size += sum([int(size_text) for size_text, _ in others])
            count += sum([int(count_text) for _, count_text in others])
        if _is_impossible(size, count):
            return None
    return SizeFile(
        limit,
        Use(size, count),
        lines=lines,
        come=come,
        come_offset=come_offset,
        is_settled=is_settled,
        is_exact=is_exact,
        is_own=is_own,
        summed=max(0, indent - 2 + is_exact) if counted[:1] == b"\t" else 0,
    )


def _find_come(rest: bytes) -> int:
    """Where the line for what has come begins, -1 if there is none."""
    if rest.startswith(_COME_MARKS) and rest.find(b"\n") == COME_BYTES - 1:
        return 0  # mostly
    found = _COME.search(rest)
    return found.start() if found else -1


def _is_impossible(size: int, count: int) -> bool:
    return not 0 <= size < _LARGEST or count < 0 or (size > 0 and not count)


@lru_cache(maxsize=64)
def _decode_first(line: bytes) -> Limit | None:
    found = {b"S": 0, b"C": 0}
    if not line:
        return NO_LIMIT
    for part in line.strip().split(b","):
        match = _LIMIT.fullmatch(part.strip())
        if match is None:
            return None
        found[match[2]] = int(match[1])
    return Limit(found[b"S"], found[b"C"])


def encode_size_file(
    limit: Limit, use: Use, *, is_exact: bool = True, summed: int = 0
) -> bytes:
    """A file for what has been counted; is_exact and summed as in `SizeFile`."""
    parts = []
    if limit.size_bytes or not limit.messages:
        parts.append(b"%dS" % limit.size_bytes)
    if limit.messages:
        parts.append(b"%dC" % limit.messages)
    mark = (b"\t" if is_exact else b"\t\t") + b" " * summed
    return b"%b\n%b%d %d\n" % (b",".join(parts), mark, use.size_bytes, use.messages)


def encode_come(use: Use, *, is_settled: bool) -> bytes:
    """The line for what has come since the count."""
    mark = SETTLED if is_settled else _NOT_SETTLED
    return b"\t%b%16d %10d\n" % (mark, use.size_bytes, use.messages)


def encode_gone(use: Use) -> bytes:
    """A line for messages that are gone again."""
    return b"-%d -%d\n" % use
