"""Whether to believe a maildirsize, or to count the maildir instead.

It is counted when the file is unusable, too long, older than the machine's start (what
was appended may be lost), for another limit, left by a process that was killed, or
counted by another program, whose count may have missed what came meanwhile. And before
mail is refused: unless it has been counted less than 15 minutes ago, and nothing has
been appended since.

Source: Maildir++ (README.maildirquota of Courier).
Raises: nothing.
"""

from __future__ import annotations

import time
from typing import Final

from postvirt.codec.maildirsize import FULL_BYTES, SizeFile
from postvirt.mailbox.quota.size_file import OpenSizeFile
from postvirt.model.quota import NO_LIMIT, Limit, QuotaRules
from postvirt.system.clock import started

# A count that is so old is no reason to refuse mail, says Maildir++.
_STALE_SECONDS: Final = 15 * 60

# One that another program has counted, or that was changing, is not counted again
# within some seconds.
_AGAIN_SECONDS: Final = 10.0

# When maildirs have been counted by this process, by time.monotonic().
_counted: dict[bytes, float] = {}
_MOST_REMEMBERED: Final = 1000


def believed(
    file: OpenSizeFile, limit: Limit, rules: QuotaRules, *, must_be_exact: bool = True
) -> SizeFile | None:
    """What the file says that has been read; None if the maildir has to be counted."""
    found = file.content
    if (
        not rules.keeps_size_file
        or found is None
        or file.size_bytes >= FULL_BYTES
        or limit not in (NO_LIMIT, found.limit)
        or file.mtime < started()
        or (file.is_locked and not found.is_settled)
        or (
            must_be_exact
            and not found.is_exact
            and not _was_counted_recently(file.root)
        )
    ):
        return None
    return found


def is_reason_to_refuse(file: OpenSizeFile) -> bool:
    """Whether mail that does not fit, as the file says, is refused without a count."""
    found = file.content
    is_old = time.time() - file.mtime > _STALE_SECONDS
    return found is not None and found.lines == 1 and not is_old


def _was_counted_recently(root: bytes) -> bool:
    since = _counted.get(root)
    return since is not None and time.monotonic() < since + _AGAIN_SECONDS


def note_count(root: bytes) -> None:
    """The maildir has been counted now."""
    if len(_counted) >= _MOST_REMEMBERED:
        _counted.clear()
    _counted[root] = time.monotonic()
