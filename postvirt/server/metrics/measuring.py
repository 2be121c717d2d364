"""Measure deliveries from outside, and count their outcomes.

Delivery code is generators that yield what they wait for, which is enough to see how
long each part takes. A `TimedPostman` passes on every effect and every answer as it is,
and reads the clock in between. Without metrics there is none, and deliveries do not
touch this module.

The stages are those of counts.Stage. A file is being written until it is to be Written
out, by the engine or by a delivery that is alone, and being committed until it is
Durable; a Pause is the wait for a lock. What is done for several recipients in one
Batch, or AtOnce, counts in full for each of them.

Raises: what the delivery raises.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from postvirt.delivery.recipient import Deliverer
from postvirt.mailbox.message import Content
from postvirt.model.effects import (
    AtOnce,
    Batch,
    Durable,
    Pause,
    Steps,
    WriteOut,
    Written,
)
from postvirt.model.mailbox import Resolution
from postvirt.model.outcome import Outcome
from postvirt.model.quota import Filling
from postvirt.model.report import Report
from postvirt.model.request import SECOND, Recipient
from postvirt.server.metrics.counts import SECOND as NANOSECONDS
from postvirt.server.metrics.counts import Counts, Stage

T = TypeVar("T")

_clock = time.monotonic_ns

# What the log calls an outcome that is counted under another name.
_OUTCOMES = {
    "SOFTBOUNCE": "soft_bounced",
    "undeliverable-but-not-cached": "undeliverable",
}


class Timeable(Protocol):
    """What finds mailboxes and delivers to them."""

    def find(self, address: bytes) -> Steps[Resolution]:
        """Find the mailbox of an address."""

    def deliver_to(
        self,
        found: Resolution,
        sender: bytes,
        recipient: Recipient,
        content: Content,
        *,
        probe_only: bool,
    ) -> Steps[Outcome]:
        """Deliver to what `find` has found."""


class TimedPostman(Deliverer):
    """A postman whose work is timed; counts is where."""

    __slots__ = ("counts", "postman")

    def __init__(self, postman: Timeable, counts: Counts) -> None:
        self.postman = postman
        self.counts = counts

    def find(self, address: bytes) -> Steps[Resolution]:
        """Find the mailbox of an address."""
        began = _clock()
        found = yield from self.postman.find(address)
        self.counts.stage(Stage.LOOKUP, _clock() - began)
        return found

    def deliver_to(
        self,
        found: Resolution,
        sender: bytes,
        recipient: Recipient,
        content: Content,
        *,
        probe_only: bool,
    ) -> Steps[Outcome]:
        """Deliver to what `find` has found."""
        steps = self.postman.deliver_to(
            found, sender, recipient, content, probe_only=probe_only
        )
        return (yield from _timed(steps, self.counts))


class Counting:
    """Counts outcomes that were reported."""

    __slots__ = ("counts",)

    def __init__(self, counts: Counts) -> None:
        self.counts = counts

    def reported(self, report: Report) -> None:
        """Count the outcome, and the time since the message became active."""
        mailbox = report.mailbox
        if mailbox is None:
            format_ = "none"
        else:
            format_ = "maildir" if mailbox.is_maildir else "mbox"
        self.counts.outcome(_OUTCOMES.get(report.word, report.word), format_)
        if report.filling is not None:
            self._quota(report.filling, report.word)
        stats = report.request.stats
        active = stats.active_arrival
        if active >= SECOND:
            queued = _between(stats.agent_handoff, active)
            self.counts.stage(Stage.QUEUE, queued)
            self.counts.stage(Stage.TOTAL, _between(report.now, active))

    def _quota(self, filling: Filling, word: str) -> None:
        """Count what the quota of a mailbox has made necessary."""
        if filling.refusal is not None:
            outcome = "bounced" if word == "bounced" else "deferred"
            self.counts.refusal(outcome, filling.refusal)
        if filling.counted is not None:
            nanoseconds = int(filling.counted_seconds * NANOSECONDS)
            self.counts.recount(filling.counted, nanoseconds)
        if filling.warned:
            self.counts.warning()


def _timed(steps: Steps[T], counts: Counts, recipients: int = 1) -> Steps[T]:
    """Run these steps, and count how long the writing and the commit take."""
    began = _clock()
    waited = written = 0
    answer: Any = None
    go_on: Callable[[Any], Any] = steps.send

    def note(now: int) -> None:
        """The writing ends, and the commit begins."""
        nonlocal written
        written = now
        counts.stage(Stage.WRITE, now - began - waited, recipients)

    try:
        while True:
            try:
                effect = go_on(answer)
            except StopIteration as end:
                result: T = end.value
                return result
            since = _clock()
            if isinstance(effect, Written):
                note(since)
            elif isinstance(effect, AtOnce) and effect.alone is not None:
                effect = _noting(effect, note)
            elif isinstance(effect, Batch):
                effect = effect._replace(
                    perform=partial(_timed_batch, effect.perform, counts)
                )
            try:
                answer = yield effect
            except Exception as error:
                answer, go_on = error, steps.throw
                continue
            go_on = steps.send
            if isinstance(effect, Durable):
                counts.stage(Stage.COMMIT, _clock() - (written or since), recipients)
            elif isinstance(effect, Pause):
                waited += _clock() - since
    finally:
        steps.close()
        if waited:
            counts.lock_wait(waited)


def _noting(effect: AtOnce, note: Callable[[int], None]) -> AtOnce:
    """The same, but what writes out tells when it began to."""
    alone = effect.alone
    assert alone is not None

    def act(write_out: WriteOut) -> None:
        def noted(written: Written) -> bool:
            since = _clock()
            is_written = write_out(written)
            if is_written:
                note(since)
            return is_written

        alone(noted)

    return AtOnce(effect.key, effect.item, effect.perform, act)


def _timed_batch(
    perform: Callable[[Sequence[Any]], Steps[Sequence[Any]]],
    counts: Counts,
    items: Sequence[Any],
) -> Steps[Sequence[Any]]:
    return _timed(perform(items), counts, len(items))


def _between(later: int, earlier: int) -> int:
    """Nanoseconds; 0 when a clock was set back."""
    return max(0, later - earlier) * 1000
