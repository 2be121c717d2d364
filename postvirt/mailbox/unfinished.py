"""Find the incomplete message that a killed process has left in an mbox file.

While a message is being appended, an extended attribute of the file notes where the
message starts, how much of it was complete when the note was written, and the date in
its first line. The note of a large message is renewed as it grows. It is removed when
the message is complete, before the delivery is reported, so a message that was reported
as delivered is never noted. The next delivery, once it has locked the file, truncates
it where a noted message starts. A note is short, so that it fits into the inode; to
allocate and free a block for it took 7 % of a delivery on ext4.

A file that another program has changed since then is not truncated. The noted first
line must still be there, or the file ends in a From_ line. The file must end where a
process that wrote this note can have been killed: what another program has appended can
only be in the last part of such a file, and there must be nothing in it that looks like
the start of another message. (In messages that postvirt writes, every From_ line is
quoted.) So only that part is searched, whatever the sizes of message and file are.

After a power cut, the file may be shorter than the note says. Then it must not have
changed since the machine was started, unless the whole of it can be searched.

If the file system has no such attributes, or no room for one, an incomplete message
stays in the file.

Parity: none.
Differs: Unfinished messages. An incomplete message that a killed process has left in an
    mbox file is truncated by the next delivery, if the file system has extended
    attributes (user.*); virtual(8) leaves it there, in front of the next message.
Raises: OSError when a note may be there that cannot be removed; a message that stays
noted must not be reported.
Security: called while acting as the owner, who may have forged both the note and the
file; a forged note can truncate only the owner's own file. A note costs the search of
at most _MOST_BYTES, in a time that is linear in it, whatever the data are.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Iterable, Iterator
from typing import Final

from postvirt.system.reopening import open_again

_NAME: Final = "user.postvirt.unfinished"
# Start, bytes that are complete, and of the first line the length and the end.
_NOTE: Final = re.compile(rb"(\d{1,18}) (\d{1,18}) (\d{1,4}) ([^\n]{1,24}\n)")
_DATE_BYTES: Final = 25

# A note is good for so much more of a message: more than one write of it, and as little
# as possible, because it may have to be searched.
_STRETCH_BYTES: Final = 327_680
# Other programs may have made the message a little shorter, for example by a header.
_MARGIN_BYTES: Final = 16_384
_MOST_BYTES: Final = _STRETCH_BYTES + _MARGIN_BYTES

# What a file system says that has not written a note.
_REFUSALS: Final = (
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EACCES,
    errno.ENOSPC,
    errno.EDQUOT,
)

_DIGITS_AS_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")
_FROM: Final = b"From "
_TIME: Final = b"00:00"
_QUOTED: Final = b">From "
# No message that is not made for it has so many lines to look into.
_MOST_LINES: Final = 1000


class Note:
    """The note about the message that is being appended to a file at `begin`."""

    def __init__(self, fd: int, begin: int, from_line: bytes) -> None:
        self._fd = fd
        self._begin = begin
        self._first_line = b"%d %b" % (len(from_line), from_line[-_DATE_BYTES:])
        self._is_there = self._write(0)

    def kept_up(self, head_bytes: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks that are written after the head, with the note renewed in time.

        Each must have been written before the next one is asked for; the head is
        written with the first.
        """
        written = noted = 0
        growing = head_bytes
        for chunk in chunks:
            growing += len(chunk)
            if self._is_there and growing >= noted + _STRETCH_BYTES:
                noted = written
                self._write(written)
            yield chunk
            written = growing

    def forget(self) -> None:
        """Remove the note: the message is complete."""
        if not self._is_there:
            return
        try:
            forget(self._fd)
        except OSError as error:
            if error.errno != errno.ENODATA:  # the owner has removed it
                raise

    def _write(self, complete_bytes: int) -> bool:
        """Whether the message is noted."""
        note = b"%d %d %b" % (self._begin, complete_bytes, self._first_line)
        try:
            os.setxattr(self._fd, _NAME, note)
        except OSError as error:
            if error.errno not in _REFUSALS:
                # It may be there all the same, if only the answer of a server was lost,
                # and would have a complete message truncated.
                self._make_sure_of_none()
            return False
        return True

    def _make_sure_of_none(self) -> None:
        try:
            forget(self._fd)
        except OSError as error:
            if error.errno != errno.ENODATA and error.errno not in _REFUSALS:
                raise


def forget(fd: int) -> None:
    """Remove a note from a file."""
    os.removexattr(fd, _NAME)


def find(fd: int, path: bytes) -> int:
    """Where an incomplete message starts; -1 if there is none, or the file has changed.

    The file is opened once more, for reading. The locks of system.locks survive that;
    classical fcntl locks would not.
    """
    try:
        found = _NOTE.fullmatch(os.getxattr(fd, _NAME))
        if found is None:
            return -1
        begin, complete_bytes, line_bytes = map(int, found.group(1, 2, 3))
        status = os.fstat(fd)
        excess = status.st_size - begin
        if not 0 < excess <= complete_bytes + _STRETCH_BYTES:
            return -1
        is_cut = excess < complete_bytes - _MARGIN_BYTES
        if is_cut and excess > _MOST_BYTES and _has_changed_since_boot(status):
            return -1
        with open(open_again(fd, path), "rb", buffering=0) as file:
            line = os.pread(file.fileno(), line_bytes, begin)
            if not _is_first_line(line, line_bytes, found[4]):
                return -1
            # From the newline of the first line on, if that is not too much.
            start = max(begin + line_bytes - 1, status.st_size - _MOST_BYTES)
            if _has_from_line(os.pread(file.fileno(), _MOST_BYTES, start)):
                return -1
    except OSError:
        return -1  # there is no note, or the file cannot be read
    return begin


def _is_first_line(line: bytes, length: int, end: bytes) -> bool:
    """Whether it is the noted one, or a From_ line that is cut off."""
    if not line.startswith(_FROM[: len(line)]):
        return False
    if len(line) < length:
        return b"\n" not in line
    return line.endswith(end) and line.count(b"\n") == 1


def _has_changed_since_boot(status: os.stat_result) -> bool:
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return status.st_ctime >= booted


def _has_from_line(text: bytes) -> bool:
    """Whether anything in it looks like the start of a message.

    That is a From_ line of any form at the start of a line. In the middle of a line,
    after text without a newline at its end, it must have a time.
    """
    if b"\nFrom " in text:
        return True
    # No part is searched twice, and not in Python.
    text = text.replace(_QUOTED, b"-" * len(_QUOTED)).translate(_DIGITS_AS_ZERO)
    line = 0
    for _ in range(_MOST_LINES):
        begin = text.find(_FROM, line)
        time_in_it = text.find(_TIME, begin) if begin >= 0 else -1
        if time_in_it < 0:
            return False
        line = text.rfind(b"\n", begin, time_in_it)
        if line < 0:
            return True
    return True
