"""What a delivery says about the quota: for the log, metrics and warnings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postvirt.mailbox.maildir import deliver_to_maildir
from postvirt.mailbox.message import Envelope
from postvirt.mailbox.quota.over_quota import OverQuotaError
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Delivered
from postvirt.model.quota import NOTHING, Filling, Limit, QuotaRules, Use
from tests.harness.child import as_mail_system, give, recipient
from tests.harness.steps import Chunks, Hand

ENVELOPE = Envelope(b"alice@example.org", b"", b"bob@example.com")
CONTENT = b"Subject: hello\n\nHello.\n"
HEADERS = b"Return-Path: <alice@example.org>\nDelivered-To: bob@example.com\n"
SIZE = len(HEADERS + CONTENT)


@pytest.fixture
def maildir(ground: Path) -> Path:
    give(ground, recipient())
    return ground / "maildir"


def told(maildir: Path, limit: Limit, times: int = 1) -> list[Filling | None]:
    """What each of some deliveries says."""
    mailbox = Mailbox(os.fsencode(maildir) + b"/", recipient(), limit)

    def deliver() -> Filling | None:
        content = Chunks(CONTENT)
        steps = deliver_to_maildir(mailbox, ENVELOPE, content, b"host", QuotaRules())
        try:
            outcome = Hand().run(steps)
        except OverQuotaError as full:
            return full.filling
        assert isinstance(outcome, Delivered)
        return outcome.filling

    return as_mail_system(lambda _: [deliver() for _ in range(times)])


def test_each_delivery_says_what_it_has_made_of_the_mailbox(maildir: Path) -> None:
    limit = Limit(10 * SIZE, 0)
    first, second = told(maildir, limit, 2)
    assert first is not None
    assert first[:4] == (NOTHING, Use(SIZE, 1), limit, None)
    assert first.counted == 0
    assert first.counted_seconds > 0
    assert second == Filling(Use(SIZE, 1), Use(2 * SIZE, 2), limit)


@pytest.mark.parametrize(
    ("limit", "refusal"),
    [
        (Limit(2 * SIZE - 1, 0), "size"),
        (Limit(2 * SIZE - 1, 1), "size"),
        (Limit(2 * SIZE, 1), "messages"),
    ],
)
def test_a_refusal_has_a_reason(maildir: Path, limit: Limit, refusal: str) -> None:
    use = Use(SIZE, 1)
    *_, filling = told(maildir, limit, 2)
    assert filling is not None
    assert filling[:4] == (use, use, limit, refusal)


def test_nothing_is_counted_for_a_message_that_is_too_large(maildir: Path) -> None:
    limit = Limit(SIZE - 1, 0)
    assert told(maildir, limit) == [Filling(NOTHING, NOTHING, limit, "message")]
    assert not maildir.exists()
