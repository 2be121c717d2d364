"""Append messages to an mbox file, those that come together with one lock and commit.

If anything fails before a message is safe, the file is truncated (`mbox_file`) to where
that message started, or, if the commit fails, to where the first of them started.

Parity: deliver_mailbox_file() in src/virtual/mailbox.c.
Raises: QueueFileError when the content is damaged, OverQuotaError when there is no room
(mailbox.mbox_room); the file is as it was. A delivery that fails is an Outcome.
Security: every step on the recipient's side is made as the owner.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from postvirt.errors import QueueFileError
from postvirt.mailbox.errno_dsn import (
    WRITE,
    WRITING,
    DeliveryFailedError,
    step,
)
from postvirt.mailbox.lock_pauses import attempts_left
from postvirt.mailbox.locking import Locking
from postvirt.mailbox.mbox_file import DELIVERED, MboxFile
from postvirt.mailbox.mbox_refusals import outcome_of
from postvirt.mailbox.message import Content, Envelope
from postvirt.mailbox.quota.over_quota import OverQuotaError
from postvirt.model.effects import Batch, Steps
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Delivered, Dsn, Result
from postvirt.model.quota import Limit, lifted

WOULD_DELIVER: Final = Delivered(Dsn("2.0.0", "delivers to mailbox"))


class _Message(NamedTuple):
    """A message; since is the time.monotonic() when it came, limit its recipient's."""

    envelope: Envelope
    content: Content
    since: float
    limit: Limit | None


def deliver_to_mbox(
    mailbox: Mailbox,
    envelope: Envelope,
    content: Content,
    locking: Locking,
    *,
    strict_ownership: bool,
    may_exceed: bool = False,
) -> Steps[Result]:
    """Append the message; strict_ownership refuses a file that another user owns.

    Messages that arrive for the same file at the same time share one lock and one
    commit. may_exceed is for one that is never refused for a quota.
    """
    deliver = partial(
        _deliver_all, mailbox, locking=locking, strict_ownership=strict_ownership
    )
    limit = lifted(mailbox.limit) if may_exceed else mailbox.limit
    message = _Message(envelope, content, time.monotonic(), limit)
    outcome: Result = yield Batch(mailbox, message, deliver)
    return outcome


def _deliver_all(
    mailbox: Mailbox,
    messages: Sequence[_Message],
    *,
    locking: Locking,
    strict_ownership: bool,
) -> Steps[list[Result | Exception]]:
    """Append the messages in their order; an outcome or an exception for each."""
    file = MboxFile(mailbox)
    waited = time.monotonic() - max(message.since for message in messages)
    attempts = attempts_left(locking.attempts, locking.delay_seconds, waited)
    try:
        outcomes: list[Result | Exception] = []

        def append_all() -> None:
            for message in messages:
                try:
                    outcomes.append(
                        file.append(
                            message.envelope,
                            message.content,
                            message.limit,
                            strict_ownership=strict_ownership,
                        )
                    )
                except DeliveryFailedError as failed:
                    outcomes.append(outcome_of(failed, mailbox))
                except (QueueFileError, OverQuotaError) as refusal:
                    outcomes.append(refusal)

        yield from file.open(locking._replace(attempts=attempts), append_all)
        if DELIVERED in outcomes:
            with step(WRITE, WRITING):
                yield from file.commit()
        yield from file.unlock()
    except DeliveryFailedError as failed:
        # This includes messages that had failed before; none of them has arrived.
        return [outcome_of(failed, mailbox)] * len(messages)
    else:
        return outcomes
    finally:
        file.release()
