"""Where a queue file is below the queue directory.

Queues named in hash_queue_names are spread over hash_queue_depth levels of directories
named after the first characters of the queue id, or, for a long queue id, after the
hexadecimal microseconds in it, so that both kinds spread the same way.

Parity: src/global/mail_queue.c, mail_queue.h, src/util/dir_forest.c, safe_ultostr.c.
"""

from __future__ import annotations

from typing import Final

# The digits of long queue ids; there are no vowels, so that they form no words.
_SAFE_DIGITS: Final = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
_MICROSECOND_DIGITS: Final = 4
_TIME_DIGITS: Final = 10  # seconds and microseconds, before the inode number
_INODE_SEPARATOR: Final = b"z"


def queue_path(
    queue_name: bytes, queue_id: bytes, hashed_queues: tuple[bytes, ...], depth: int
) -> bytes:
    """The path of a queue file, relative to the queue directory.

    hashed_queues are in lower case.
    """
    if queue_name.lower() not in hashed_queues:
        return queue_name + b"/" + queue_id
    spread = _spread_by(queue_id).ljust(depth, b"_")[:depth]
    levels = [spread[level : level + 1] for level in range(depth)]
    return b"/".join((queue_name, *levels, queue_id))


def _spread_by(queue_id: bytes) -> bytes:
    separator = queue_id.rfind(_INODE_SEPARATOR)
    if separator < _TIME_DIGITS:
        return queue_id
    microseconds = 0
    for digit in queue_id[separator - _MICROSECOND_DIGITS : separator]:
        value = _SAFE_DIGITS.find(digit)
        if value < 0:
            return b"00000"
        microseconds = microseconds * len(_SAFE_DIGITS) + value
    return b"%05X" % microseconds
