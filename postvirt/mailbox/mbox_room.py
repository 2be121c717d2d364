"""The room for a message in an mbox file with a limit: that of the file's size.

The file is locked, and what does not fit is not written: mail never exceeds a limit,
and what fits is never refused.

Parity: change_mailbox_limit() in the VDA patch. The limit of a mailbox may be above
    virtual_mailbox_limit.
Differs: Mbox files over quota. Mail is deferred or bounced with the same code and text
    as for a maildir; with the VDA patch it always bounces, as "File too large".
Raises: OverQuotaError.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from postvirt.mailbox.message import Content
from postvirt.mailbox.quota.over_quota import OverQuotaError
from postvirt.model.outcome import Delivered, Dsn
from postvirt.model.quota import Filling, Limit, Refusal, Use
from postvirt.system.limits import larger_files

# Every "From " line at the start of a line is one byte longer in the file, so a message
# never becomes twice as long as its queue file.
_MOST_GROWTH: Final = 2

_END: Final = b"\n"
_ANY_SIZE: Final[AbstractContextManager[None]] = nullcontext()


def check_room(
    limit: Limit | None, length: int, missing: bytes, head: bytes, content: Content
) -> None:
    """Say whether a message fits, before it is written.

    length    of the file
    missing   what has to be added to the message before
    head      what comes before the content
    """
    if limit is None or not limit.size_bytes:
        return
    most = limit.size_bytes
    known = len(head) + len(_END)
    queue_file_bytes = content.queue_file_bytes
    if queue_file_bytes:
        may_be = known + _MOST_GROWTH * queue_file_bytes
        if length + len(missing) + may_be <= most:
            return
    size = known + sum(_lengths(content))
    if length + len(missing) + size > most:
        use = Use(length, 0)
        refusal: Refusal = "message" if size > most else "size"
        raise OverQuotaError(Filling(use, use, Limit(most, 0), refusal))


def growing(limit: Limit | None) -> AbstractContextManager[None]:
    """Within the block the file may become as large as the limit says."""
    return _ANY_SIZE if limit is None else larger_files(limit.size_bytes)


def arrived(dsn: Dsn, limit: Limit, before_bytes: int, after_bytes: int) -> Delivered:
    """The outcome of a message that fits; messages of the file are not counted."""
    before, after = Use(before_bytes, 0), Use(after_bytes, 0)
    filling = Filling(before, after, Limit(limit.size_bytes, 0))
    return Delivered(dsn, filling=filling)


def _lengths(content: Content) -> Iterator[int]:
    for chunk in content.chunks(quote_from=True):
        yield len(chunk)
