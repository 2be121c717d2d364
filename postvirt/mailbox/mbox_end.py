"""Whether an mbox file ends in the middle of a line.

A power cut may leave it so, or another program. A From_ line that followed in that line
would be none for mail readers: the message that it begins would be part of the one that
is torn, and as good as lost. It therefore begins after an empty line, as it does after
any other message. A file that ends with a newline is left as it is.

The byte is read through another descriptor. To open the file itself for reading, too,
would have effects on devices and FIFOs. Nor does the time of the last access change,
which mail readers compare with that of the last change to find new mail. All this costs
nearly a tenth of a delivery without its commit, so it is not done for a file that has
not changed since this process appended to it.

Parity: none.
Differs: Torn mbox files. When the last line of an mbox file has no newline, as after a
    power cut, the next message begins after an empty line, if the owner can read the
    file; virtual(8) appends it to that line, where mail readers do not find it.
Raises: nothing; a file that cannot be read is appended to as it is.
Security: called while acting as the owner, who can deceive it about no file but theirs.
"""

from __future__ import annotations

import os

from postvirt.system.descriptors import close
from postvirt.system.reopening import open_again

# The end of a line and an empty one: some mail readers ask for both.
SEPARATOR = b"\n\n"

# Device and inode of a file that ends with a message, and what it was like then.
_ends: dict[tuple[int, int], tuple[int, int]] = {}
_MOST_ENDS = 500


def is_as_left(status: os.stat_result) -> bool:
    """Whether the file is empty, or has not changed since `remember`."""
    return status.st_size == 0 or _ends.get(_name(status)) == _state(status)


def missing_at_end(fd: int, status: os.stat_result, path: bytes) -> bytes:
    """What must be written between the end of a regular file and a From_ line.

    The locks of system.locks survive that the file is opened once more.
    """
    try:
        reader = open_again(fd, path, os.O_NOATIME)
    except OSError:
        return b""
    try:
        last = os.pread(reader, 1, status.st_size - 1)
    except OSError:
        return b""
    finally:
        close(reader)
    return SEPARATOR if last not in (b"", b"\n") else b""


def remember(status: os.stat_result) -> None:
    """Of a file that ends with a message of this process, and is locked."""
    _ends.pop(_name(status), None)
    if len(_ends) >= _MOST_ENDS:
        del _ends[next(iter(_ends))]
    _ends[_name(status)] = _state(status)


def _name(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_ctime_ns
