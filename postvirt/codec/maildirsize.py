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
and each blank that the lines have been replaced by their sum once, instead of being
counted again.

Source: Maildir++ (README.maildirquota of Courier). Courier, Dovecot 2.3 and the VDA
    patch skip blanks in front of a number; Courier does not know a plus sign.
Raises: nothing. What cannot be read has to be counted again.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from postvirt.model.quota import NO_LIMIT, Limit, Use

# A file of this size has to be counted again, instead of growing further.
FULL_BYTES: Final = 5120

SETTLED: Final = b"\t0 0\n"

_TAB: Final = ord("\t")
_SETTLED_LINE: Final = SETTLED[:-1]

_LIMIT: Final = re.compile(rb"([0-9]{1,19})([SC])")
_COUNTED: Final = re.compile(
    rb"(\t{0,2})( *)[ \t]*([+-]?[0-9]{1,18})[ \t]+([+-]?[0-9]{1,18})[ \t\r]*"
)
_LINE: Final = re.compile(rb"[ \t]*([+-]?[0-9]{1,18})[ \t]+([+-]?[0-9]{1,18})[ \t\r]*")


class SizeFile(NamedTuple):
    """What a maildirsize says.

    lines        the number of lines after the limit
    is_settled   whether each message of postvirt's is followed by its line
    is_exact     postvirt has counted, and nothing changed meanwhile or shortly before
    is_own       all lines are postvirt's
    sums         how often lines have been replaced by their sum since it was counted
    """

    limit: Limit
    use: Use
    lines: int
    is_settled: bool
    is_exact: bool
    is_own: bool
    sums: int

    def with_lines(self, data: bytes) -> SizeFile | None:
        """The same file after this has been appended; None as in `decode_size_file`."""
        if not data:
            return self
        if not data.endswith(b"\n"):
            return None
        size, count = self.use
        is_settled, is_own = self.is_settled, self.is_own
        lines = data[:-1].split(b"\n")
        for line in lines:
            if line == _SETTLED_LINE:
                is_settled = True
                continue
            match = _LINE.fullmatch(line)
            if match is None:
                return None
            size += int(match[1])
            count += int(match[2])
            if line[0] == _TAB:
                is_settled = False
            else:
                is_own = False
        use = Use(size, count)
        if _is_impossible(use):
            return None
        return SizeFile(
            self.limit,
            use,
            self.lines + len(lines),
            is_settled,
            self.is_exact,
            is_own,
            self.sums,
        )


def decode_size_file(data: bytes) -> SizeFile | None:
    """What the file says; None if it has to be counted again."""
    first, _, rest = data.partition(b"\n")
    counted, newline, rest = rest.partition(b"\n")
    limit = _decode_first(first)
    match = _COUNTED.fullmatch(counted)
    if limit is None or match is None or not newline:
        return None
    tabs = match[1]
    found = SizeFile(
        limit,
        Use(int(match[3]), int(match[4])),
        1,
        is_settled=True,
        is_exact=tabs == b"\t",
        is_own=bool(tabs),
        sums=len(match[2]) if tabs else 0,
    )
    return None if _is_impossible(found.use) else found.with_lines(rest)


def _is_impossible(use: Use) -> bool:
    size, count = use
    return size < 0 or count < 0 or (size > 0 and not count)


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
    limit: Limit, use: Use, *, is_exact: bool = True, sums: int = 0
) -> bytes:
    """A file for what has been counted; is_exact and sums as in `SizeFile`."""
    parts = []
    if limit.size_bytes or not limit.messages:
        parts.append(b"%dS" % limit.size_bytes)
    if limit.messages:
        parts.append(b"%dC" % limit.messages)
    mark = (b"\t" if is_exact else b"\t\t") + b" " * sums
    return b"%b\n%b%d %d\n" % (b",".join(parts), mark, use.size_bytes, use.messages)


def encode_coming(use: Use) -> bytes:
    """The line for messages that are about to get their names in new/."""
    return b"\t%d %d\n" % use


def encode_gone(use: Use) -> bytes:
    """The line for messages that are gone again."""
    return b"-%d -%d\n" % use
