"""Find the incomplete message that a killed process has left in an mbox file.

While a message is being appended, an extended attribute of the file notes where the
message starts and what its first line is. The note is removed when the message is
complete, before the delivery is reported, so a message that was reported as delivered
is never noted. The next delivery, once it has locked the file, truncates it where a
noted message starts.

A file that another program has changed since then is not truncated: the noted first
line must still be there, or as much of it as the file holds, and nothing that looks
like the start of another message may follow. (In messages that postvirt writes, every
From_ line is quoted.) If the file system has no such attributes, or no room for one, an
incomplete message stays in the file; so does a very large one.

Parity: none.
Differs: Unfinished messages. An incomplete message that a killed process has left in an
    mbox file is truncated by the next delivery, if the file system has extended
    attributes (user.*); virtual(8) leaves it there, in front of the next message.
Raises: OSError from `forget`; a message that stays noted must not be reported.
Security: called while acting as the owner, who may have forged both the note and the
file; a forged note can truncate only the owner's own file. The amount of data that is
read is bounded, and the time is linear in it, whatever the data are.
"""

from __future__ import annotations

import os
import re

_NAME = "user.postvirt.unfinished"
_NOTE = re.compile(rb"(\d{1,18}) (From [^\n]{1,9000}\n)")

# Another From_ line: at the start of a line in any form; in the middle of a line, after
# text without a newline at its end, only if there is a time in it.
_LINE_WITH_TIME = re.compile(rb"^[^\n]*\d\d:\d\d", re.MULTILINE)
_UNQUOTED = re.compile(rb"(?<!>)From ")
_LONGEST_FROM_LINE = 10_000

_CHUNK_BYTES = 1_000_000
# Reading more would hold the lock for too long.
_MOST_BYTES = 32_000_000


def note(fd: int, begin: int, from_line: bytes) -> bool:
    """Note that a message is about to be appended; False if that fails."""
    try:
        os.setxattr(fd, _NAME, b"%d %b" % (begin, from_line))
    except OSError:
        return False
    return True


def forget(fd: int) -> None:
    """Remove the note: the message is complete."""
    os.removexattr(fd, _NAME)


def find(fd: int) -> int:
    """Where an incomplete message starts; -1 if there is none, or the file has changed.

    The file is opened once more, for reading. The locks of system.locks survive that;
    classical fcntl locks would not.
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
    """Whether anything from there on looks like the start of a message."""
    rest = b"\n"
    while data := os.pread(reader, _CHUNK_BYTES, begin):
        seen = rest + data
        if b"\nFrom " in seen or any(
            _UNQUOTED.search(line[0]) for line in _LINE_WITH_TIME.finditer(seen)
        ):
            return True
        # A From_ line may continue in the next chunk.
        rest = seen[max(seen.rfind(b"\n"), len(seen) - _LONGEST_FROM_LINE, 0) :]
        begin += len(data)
    return False
