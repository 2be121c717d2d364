"""Whether to believe a maildirsize, or to count the maildir instead.

It is counted when the file is unusable, too long, older than the machine's start (what
was appended may be lost, even if another program has appended since), for another
limit, or left by a process that was killed. And before mail is refused: unless it has
been counted less than 15 minutes ago, and nothing has been appended since.

A count that is not right for sure (mailbox.quota.counting), such as any of another
program, is repeated by the first delivery that finds the maildir quiet.

Source: Maildir++ (README.maildirquota of Courier).
Raises: nothing.
"""

from __future__ import annotations

import time
from typing import Final

from postvirt.codec.maildirsize import FULL_BYTES, SizeFile
from postvirt.mailbox.quota.counting import is_quiet
from postvirt.mailbox.quota.size_file import OpenSizeFile
from postvirt.model.quota import NO_LIMIT, Limit, QuotaRules
from postvirt.system.clock import started

# A count that is so old is no reason to refuse mail, says Maildir++.
_STALE_SECONDS: Final = 15 * 60


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
        or file.is_older_than(started())
        or (file.is_locked and not found.is_settled)
        or (must_be_exact and not found.is_exact and is_quiet(file.root, rules))
    ):
        return None
    return found


def is_reason_to_refuse(file: OpenSizeFile) -> bool:
    """Whether mail that does not fit, as the file says, is refused without a count."""
    found = file.content
    is_old = time.time() - file.mtime > _STALE_SECONDS
    return found is not None and found.is_as_counted and not is_old
