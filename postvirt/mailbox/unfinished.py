"""Find what a process that was killed has left of a message in an mbox file.

While a message is being appended, an attribute of the file notes where it begins and
what its first line is. It is removed when the message is complete, and that before
anybody is told: a message that was reported as delivered is never noted. Whoever locks
the file next can cut off what is noted.

What somebody else has touched since then is left alone: what is noted must still be at
its place, up to its last byte if the file ends before, and nothing that looks like the
begin of another message may follow. (In our own messages every From_ line is quoted.)
Where the file system has no such attributes, or no room, an unfinished message stays
where it is; so does a very large one.

Parity: none.
Differs: Unfinished messages. An incomplete message that a killed process has left in an
    mbox file is truncated by the next delivery, if the file system has extended
    attributes (user.*); virtual(8) leaves it there, in front of the next message.
Raises: OSError from `forget`; a message that stays noted must not be reported.
Security: called while acting as the owner, who may have written note and file himself.
Who forges a note can cut only his own file. How much is read is bounded, and the time
grows with that and not with its square, whatever it is.
"""

from __future__ import annotations

import os
import re

_NAME = "user.postvirt.unfinished"
_NOTE = re.compile(rb"(\d{1,18}) (From [^\n]{1,9000}\n)")

# Another From_ line: at the begin of a line whatever it is like, and in the middle of
# one, behind what has no newline at its end, if there is a time in it.
_LINE_WITH_TIME = re.compile(rb"^[^\n]*\d\d:\d\d", re.MULTILINE)
_UNQUOTED = re.compile(rb"(?<!>)From ")
_LONGEST_FROM_LINE = 10_000

_CHUNK_BYTES = 1_000_000
# More than that would keep others waiting.
_MOST_BYTES = 32_000_000


def note(fd: int, begin: int, from_line: bytes) -> bool:
    """Note that a message is about to be appended; False if that is impossible."""
    try:
        os.setxattr(fd, _NAME, b"%d %b" % (begin, from_line))
    except OSError:
        return False
    return True


def forget(fd: int) -> None:
    """The message that was noted is complete."""
    os.removexattr(fd, _NAME)


def find(fd: int) -> int:
    """Where an unfinished message begins; -1 if there is none, or somebody touched it.

    The file is opened once more, for reading: locks have to be those of system.locks,
    which survive that.
    """
    try:
        found = _NOTE.fullmatch(os.getxattr(fd, _NAME))
        if found is None:
            return -1
        begin, from_line = int(found[1]), found[2]
        excess = os.fstat(fd).st_size - begin
        if not 0 < excess <= _MOST_BYTES:
            return -1
        with open(f"/proc/self/fd/{fd}", "rb", buffering=0) as file:
            noted = os.pread(file.fileno(), len(from_line), begin)
            if noted != from_line[:excess]:
                return -1
            if _has_from_line(file.fileno(), begin + len(from_line)):
                return -1
    except OSError:
        return -1  # there is no note, or the file cannot be read
    return begin


def _has_from_line(reader: int, begin: int) -> bool:
    """Whether anything from there on looks like the begin of a message."""
    rest = b"\n"
    while data := os.pread(reader, _CHUNK_BYTES, begin):
        seen = rest + data
        if b"\nFrom " in seen or any(
            _UNQUOTED.search(line[0]) for line in _LINE_WITH_TIME.finditer(seen)
        ):
            return True
        # A From_ line may go on in what follows.
        rest = seen[max(seen.rfind(b"\n"), len(seen) - _LONGEST_FROM_LINE, 0) :]
        begin += len(data)
    return False
