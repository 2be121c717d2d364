"""Limits of mbox files, to the byte."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from postvirt.codec.from_lines import quote_from_lines
from postvirt.mailbox.locking import Locking
from postvirt.mailbox.mbox import deliver_to_mbox
from postvirt.mailbox.message import Envelope, envelope_headers, from_line
from postvirt.mailbox.quota.over_quota import OverQuotaError
from postvirt.model.effects import Batch, Steps
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Delivered, Dsn
from postvirt.model.quota import Filling, Limit, Use
from tests.harness.child import Log, as_mail_system, give, recipient
from tests.harness.steps import Chunks, Hand

ENVELOPE = Envelope(b"alice@example.org", b"", b"bob@example.com")
CONTENT = b"Subject: hello\n\nHello.\n"
OLD = b"From somebody\n\nOld mail.\n\n"
HEAD_BYTES = len(from_line(ENVELOPE, 0) + envelope_headers(ENVELOPE))
SIZE = HEAD_BYTES + len(CONTENT) + 1
DELIVERED = Delivered(Dsn("2.0.0", "delivered to mailbox"))
LOCKING = Locking(
    styles=frozenset({"fcntl", "dotlock"}),
    attempts=3,
    delay_seconds=8.0,
    stale_seconds=500,
)
BIG = b"x" * 20_000 + b"\n"


@pytest.fixture
def mbox(ground: Path) -> Path:
    """The recipient's mbox, with old mail."""
    home = ground / "home"
    home.mkdir(mode=0o755)
    path = home / "mbox"
    path.write_bytes(OLD)
    path.chmod(0o600)
    for one in (home, path):
        give(one, recipient())
    return path


def together(path: Path, *those: tuple[Chunks, int]) -> list[object]:
    """The outcomes of messages that come at the same time, each with a limit."""

    def work(_: Log) -> list[object]:
        messages, performs = [], []
        for content, limit in those:
            mailbox = Mailbox(os.fsencode(path), recipient(), Limit(limit, 0))
            effect = next(
                deliver_to_mbox(
                    mailbox, ENVELOPE, content, LOCKING, strict_ownership=True
                )
            )
            assert isinstance(effect, Batch)
            messages.append(effect.item)
            performs.append(effect.perform)
        steps: Steps[list[object]] = performs[0](messages)  # type: ignore[assignment]
        outcomes = Hand().run(steps)
        assert outcomes is not None
        return [_shown(one) for one in outcomes]

    outcomes = as_mail_system(work)
    assert os.listdir(path.parent) == ["mbox"]
    return outcomes


class _Quoting(Chunks):
    """Content that quotes its lines, as that of queue files does."""

    def chunks(self, *, quote_from: bool) -> Iterator[bytes]:
        assert quote_from
        return quote_from_lines(super().chunks(quote_from=True))


def _shown(outcome: object) -> object:
    """What can leave the process of the test: refusals as their reason."""
    if isinstance(outcome, OverQuotaError):
        assert outcome.filling.before == outcome.filling.after
        return outcome.filling.refusal
    assert isinstance(outcome, Delivered)
    assert outcome == DELIVERED
    return outcome.filling


def grown(limit: int, before: int, after: int) -> Filling:
    return Filling(Use(before, 0), Use(after, 0), Limit(limit, 0))


@pytest.mark.parametrize("known", [0, 1, 10_000], ids=["unknown", "small", "large"])
def test_what_fits_to_the_byte_is_delivered(mbox: Path, known: int) -> None:
    """Whatever is known of the size of the queue file."""
    content = Chunks(CONTENT)
    content.queue_file_bytes = known and len(CONTENT) + known
    limit = len(OLD) + SIZE
    assert together(mbox, (content, limit)) == [grown(limit, len(OLD), limit)]
    assert mbox.stat().st_size == limit


def test_one_byte_more_is_refused_and_nothing_is_written(mbox: Path) -> None:
    status = mbox.stat()
    assert together(mbox, (Chunks(CONTENT), len(OLD) + SIZE - 1)) == ["size"]
    assert mbox.read_bytes() == OLD
    assert mbox.stat().st_mtime_ns == status.st_mtime_ns


@pytest.mark.parametrize(("limit", "refusal"), [(SIZE, "size"), (SIZE - 1, "message")])
def test_what_would_never_fit_is_too_large(
    mbox: Path, limit: int, refusal: str
) -> None:
    assert together(mbox, (Chunks(CONTENT), limit)) == [refusal]
    assert mbox.read_bytes() == OLD


def test_lines_that_are_quoted_count(mbox: Path) -> None:
    content = b"\n" + b"From x\n" * 1000
    size = HEAD_BYTES + len(content) + 1000 + 1
    letter = _Quoting(content)
    letter.queue_file_bytes = len(content)
    limit = len(OLD) + size
    assert together(mbox, (letter, limit - 1), (letter, limit)) == [
        "size",
        grown(limit, len(OLD), limit),
    ]


def test_an_empty_line_that_is_missing_counts(mbox: Path) -> None:
    old = OLD.removesuffix(b"\n\n")
    mbox.write_bytes(old)
    limit = len(OLD) + SIZE
    assert together(mbox, (Chunks(CONTENT), limit - 1)) == ["size"]
    assert mbox.read_bytes() == old
    assert together(mbox, (Chunks(CONTENT), limit)) == [grown(limit, len(old), limit)]
    assert mbox.read_bytes().startswith(OLD + b"From ")


def test_of_messages_that_come_together_those_that_fit_are_delivered(
    mbox: Path,
) -> None:
    """A large one is refused, and smaller ones after it are not."""
    small, large = Chunks(CONTENT), Chunks(BIG)
    limit = len(OLD) + 2 * SIZE
    assert together(
        mbox, (small, limit), (large, limit), (small, limit), (small, limit)
    ) == [
        grown(limit, len(OLD), len(OLD) + SIZE),
        "message",
        grown(limit, len(OLD) + SIZE, limit),
        "size",
    ]
    assert mbox.stat().st_size == limit


def test_what_may_exceed_the_limit_is_not_refused(mbox: Path) -> None:
    def work(_: Log) -> object:
        mailbox = Mailbox(os.fsencode(mbox), recipient(), Limit(1, 0))
        content = Chunks(CONTENT)
        return Hand().run(
            deliver_to_mbox(
                mailbox,
                ENVELOPE,
                content,
                LOCKING,
                strict_ownership=True,
                may_exceed=True,
            )
        )

    assert as_mail_system(work) == DELIVERED
    assert mbox.stat().st_size == len(OLD) + SIZE


def test_recipients_with_one_file_have_their_own_limits(mbox: Path) -> None:
    content = Chunks(CONTENT)
    low, high = len(OLD) + SIZE - 1, len(OLD) + SIZE
    assert together(mbox, (content, low), (content, high), (content, 0)) == [
        "size",
        grown(high, len(OLD), high),
        grown(0, high, high + SIZE),
    ]


@pytest.mark.parametrize("limit", [0, 50_000], ids=["none", "larger"])
def test_a_limit_may_be_above_that_of_the_process(mbox: Path, limit: int) -> None:
    """As virtual_mailbox_limit is, which the kernel enforces otherwise."""
    below = (10_000, resource.RLIM_INFINITY)

    def work(_: Log) -> tuple[object, tuple[int, int]]:
        resource.setrlimit(resource.RLIMIT_FSIZE, below)
        mailbox = Mailbox(os.fsencode(mbox), recipient(), Limit(limit, 0))
        outcome = Hand().run(
            deliver_to_mbox(
                mailbox, ENVELOPE, Chunks(BIG), LOCKING, strict_ownership=True
            )
        )
        return outcome, resource.getrlimit(resource.RLIMIT_FSIZE)

    assert as_mail_system(work) == (DELIVERED, below)
    assert mbox.stat().st_size == len(OLD) + HEAD_BYTES + len(BIG) + 1
