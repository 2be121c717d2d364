r"""Decode and encode maildirsize, the file that says how much a maildir holds.

    51200000S,1000C     the limit; a part that is missing means no such limit
    48321 17            bytes and messages, when they were counted
    2048 1              a message that has come
    -1024 -1            one that is gone

The sum of all lines but the first is what the maildir holds.

Lines of postvirt begin with a tab, which the other programs skip. A message has two:
"\t2048 1" before it gets its name in new/, and "\t0 0" after that. If the second is
missing while no process holds the lock, a process was killed in between. In front of
what was counted, a second tab says that something changed meanwhile or shortly before,
and each blank that 512 bytes of lines have been replaced by their sum, instead of being
counted again.

Source: Maildir++ (README.maildirquota of Courier). Courier, Dovecot 2.3 and the VDA
    patch skip blanks in front of a number; Courier does not know a plus sign.
Raises: nothing. What cannot be read has to be counted again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from postvirt.model.quota import NO_LIMIT, Limit, Use

# A file of this size has to be counted again, instead of growing further.
FULL_BYTES: Final = 5120

SETTLED: Final = b"\t0 0\n"

_LIMIT: Final = re.compile(rb"([0-9]{1,19})([SC])")
_COUNTED: Final = re.compile(
    rb"(\t{0,2})( *)[ \t]*([+-]?[0-9]{1,18})[ \t]+([+-]?[0-9]{1,18})[ \t\r]*"
)
# All at once, because a match for each line takes longer than reading the file. Mostly
# there are only messages that postvirt has delivered.
_DELIVERED: Final = re.compile(rb"(?:\t[0-9]{1,18} [0-9]{1,18}\n\t0 0\n)+")
_LINES: Final = re.compile(
    rb"^([ \t]*)([+-]?[0-9]{1,18})[ \t]+([+-]?[0-9]{1,18})[ \t\r]*$", re.MULTILINE
)


class SizeFile(NamedTuple):
    """What a maildirsize says.

    lines        the number of lines after the limit
    is_settled   whether each message of postvirt's is followed by its line
    is_exact     postvirt has counted, and nothing changed meanwhile or shortly before
    is_own       all lines are postvirt's
    summed       how many times 512 bytes have been replaced by their sum since then
    """

    limit: Limit
    use: Use
    lines: int
    is_settled: bool
    is_exact: bool
    is_own: bool
    summed: int

    @property
    def is_as_counted(self) -> bool:
        """Whether nothing has been added to what was counted."""
        return self.lines == 1 and not self.summed


def decode_size_file(data: bytes) -> SizeFile | None:
    """What the file says; None if it has to be counted again."""
    first, _, rest = data.partition(b"\n")
    counted, newline, rest = rest.partition(b"\n")
    limit = _decode_first(first)
    match = _COUNTED.fullmatch(counted)
    if limit is None or match is None or not newline:
        return None
    tabs, blanks, size_text, count_text = match.groups()
    size, count = int(size_text), int(count_text)
    if _is_impossible(size, count):
        return None
    lines = rest.count(b"\n")
    is_settled, is_own = True, bool(tabs)
    if _DELIVERED.fullmatch(rest):
        numbers = rest.split()
        size += sum(map(int, numbers[::4]))
        count += sum(map(int, numbers[1::4]))
    elif rest:
        found = _LINES.findall(rest)
        if len(found) != lines or not rest.endswith(b"\n"):
            return None
        for indent, size_text, count_text in found:
            size += int(size_text)
            count += int(count_text)
            if indent.startswith(b"\t"):
                is_settled = (size_text, count_text) == (b"0", b"0")
            else:
                is_own = False
    if _is_impossible(size, count):
        return None
    return SizeFile(
        limit,
        Use(size, count),
        1 + lines,
        is_settled,
        is_exact=tabs == b"\t",
        is_own=is_own,
        summed=len(blanks) if tabs else 0,
    )


def _is_impossible(size: int, count: int) -> bool:
    return size < 0 or count < 0 or (size > 0 and not count)


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


def encode_coming(use: Use) -> bytes:
    """The line for messages that are about to get their names in new/."""
    return b"\t%d %d\n" % use


def encode_gone(use: Use) -> bytes:
    """The line for messages that are gone again."""
    return b"-%d -%d\n" % use
