"""Find what a process that was killed has left of a message in an mbox file.

While a message is being appended, an attribute of the file notes where it begins and
what its first line is like. It is removed when the message is complete, and that before
anybody is told: a message that was reported as delivered is never noted. Whoever locks
the file next can cut off what is noted.

What somebody else has touched since then is left alone: the noted line must still be
where it was, and no other From_ line may follow. (In our own messages every one is
quoted.) Where the file system has no such attributes, or no room, an unfinished message
stays where it is, as it does with virtual(8).

Parity: none.
Raises: OSError from `forget`; a message that stays noted must not be reported.
Security: called while acting as the owner. Who forges a note can cut only his own file.
"""

from __future__ import annotations

import os
import re
import zlib

_NAME = "user.postvirt.unfinished"
_NOTE = re.compile(rb"(\d+) (\d+) (\d+)")

_FROM_LINE = re.compile(rb"(?<!>)From [^\n]*\d\d:\d\d:\d\d \d{4}\n")
_CHUNK_BYTES = 1_000_000
_LONGEST_FROM_LINE = 10_000


def note(fd: int, begin: int, from_line: bytes) -> bool:
    """Note that a message is about to be appended; False if that is impossible."""
    value = b"%d %d %d" % (begin, len(from_line), zlib.crc32(from_line))
    try:
        os.setxattr(fd, _NAME, value)
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
        begin, length, checksum = map(int, found.groups())
        with open(f"/proc/self/fd/{fd}", "rb", buffering=0) as file:
            line = os.pread(file.fileno(), length, begin)
            is_ours = b"\n" not in line or zlib.crc32(line) == checksum
            if is_ours and not _has_from_line(file.fileno(), begin + length):
                return begin
    except (OSError, OverflowError):
        pass  # there is no note, or the file cannot be read
    return -1


def _has_from_line(reader: int, begin: int) -> bool:
    before = b""
    while data := os.pread(reader, _CHUNK_BYTES, begin):
        if _FROM_LINE.search(before + data):
            return True
        before = data[-_LONGEST_FROM_LINE:]
        begin += len(data)
    return False
