"""Deliveries with somebody who counts: nothing else is different."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from postvirt.model.effects import (
    AtOnce,
    Batch,
    Durable,
    Lookup,
    Pause,
    Ready,
    Steps,
    WriteOut,
    Written,
)
from postvirt.model.mailbox import Mailbox, Owner, Resolution
from postvirt.model.outcome import Delivered, Dsn, Outcome
from postvirt.model.quota import NOTHING, Filling, Limit, Use
from postvirt.model.report import Report
from postvirt.model.request import MessageStats, Recipient
from postvirt.server.metrics import measuring
from postvirt.server.metrics.counts import SECOND, SIZE, STAGES, Counts, Stage
from postvirt.server.metrics.measuring import Counting, TimedPostman
from tests.harness.reporting import request
from tests.harness.times import moment

BOX = Mailbox(b"/mail/bob/", Owner(1, 1))
SENT = Delivered(Dsn("2.0.0", "delivered"))
WRITTEN, DURABLE = Written(3, 4), Durable(3, 4, True)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Seconds pass only when somebody says so."""
    now = 0

    def go_on(seconds: float) -> None:
        nonlocal now
        now += int(seconds * SECOND)

    monkeypatch.setattr(measuring, "_clock", lambda: now)
    return go_on


@pytest.fixture
def counts() -> Counts:
    return Counts([0] * SIZE)


def seconds(counts: Counts, stage: Stage) -> tuple[int, float]:
    """How often a stage was gone through, and how long in all."""
    in_range, sum_ = STAGES[stage].read(counts.numbers)
    return sum(in_range), sum_ / SECOND


@dataclass(frozen=True)
class Story:
    """A postman's work as a list of effects; before each of them a second passes."""

    go_on: Callable[[float], None]
    effects: tuple[Any, ...]
    outcome: Outcome = SENT
    has_slow_tables: bool = False

    def find(self, address: bytes) -> Steps[Resolution]:
        if self.has_slow_tables:
            found: Resolution = yield Lookup(address)
            assert found is BOX
        else:
            self.go_on(0.25)
        return BOX

    def deliver_to(
        self, found: Resolution, *_: Any, probe_only: bool = False
    ) -> Steps[Outcome]:
        assert found is BOX
        return self.steps()

    def steps(self) -> Steps[Outcome]:
        for effect in self.effects:
            self.go_on(1)
            yield effect
        return self.outcome


def observed(story: Story, counts: Counts) -> Steps[Outcome]:
    postman = TimedPostman(story, counts)
    recipient = Recipient(original_recipient=b"", address=b"bob@x", offset=0)
    return postman.deliver(b"", recipient, None)  # type: ignore[arg-type]


def go(steps: Steps[Any], clock: Callable[[float], None], *durations: float) -> Any:
    """Answer every effect after so many seconds; the result."""
    try:
        next(steps)
        for duration in durations:
            clock(duration)
            steps.send(duration)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for more")


def test_each_part_takes_its_time(clock, counts) -> None:
    story = Story(clock, (WRITTEN, DURABLE))
    outcome = go(observed(story, counts), clock, 10, 100)
    assert outcome is SENT
    assert seconds(counts, Stage.LOOKUP) == (1, 0.25)
    assert seconds(counts, Stage.WRITE) == (1, 1)
    assert seconds(counts, Stage.COMMIT) == (1, 111)
    assert counts.lock_waits() == (0, 0)


def test_slow_tables_are_waited_for(clock, counts) -> None:
    steps = observed(Story(clock, (), has_slow_tables=True), counts)
    next(steps)
    clock(3)
    with pytest.raises(StopIteration):
        steps.send(BOX)
    assert seconds(counts, Stage.LOOKUP) == (1, 3)


def test_the_wait_for_locks_is_not_part_of_the_writing(clock, counts) -> None:
    story = Story(clock, (Pause(1), Pause(1), WRITTEN, DURABLE))
    go(observed(story, counts), clock, 5, 7, 0, 0)
    assert counts.lock_waits() == (1, 12 * SECOND)
    assert seconds(counts, Stage.WRITE) == (1, 3)


def test_what_is_done_together_took_each_so_long(clock, counts) -> None:
    story = Story(clock, (WRITTEN, DURABLE), outcome=[SENT] * 3)  # type: ignore[arg-type]
    batch = Batch("key", "item", lambda items: story.steps())  # type: ignore[arg-type, return-value]
    steps = observed(Story(clock, (batch,)), counts)
    wrapped = next(steps)
    assert isinstance(wrapped, Batch)
    assert (wrapped.key, wrapped.item) == ("key", "item")
    assert go(wrapped.perform(["a", "b", "c"]), clock, 2, 0) == [SENT] * 3
    assert seconds(counts, Stage.WRITE) == (3, 3)
    assert seconds(counts, Stage.COMMIT) == (3, 9)


def test_what_is_done_at_once_is_part_of_the_writing(clock, counts) -> None:
    at_once = AtOnce("key", "item", lambda items: [(item, None) for item in items])
    steps = observed(Story(clock, (at_once, WRITTEN, at_once, DURABLE)), counts)
    assert go(steps, clock, 5, 0, 2, 3) == SENT
    assert seconds(counts, Stage.WRITE) == (1, 7)
    assert seconds(counts, Stage.COMMIT) == (1, 7)


@pytest.mark.parametrize(
    ("is_written", "write", "commit"), [(True, 2, 12), (False, 9, 11)]
)
def test_so_is_what_is_done_alone_until_it_is_written_out(
    clock, counts, is_written: bool, write: int, commit: int
) -> None:
    def alone(write_out: WriteOut) -> None:
        clock(1)
        assert write_out(WRITTEN) == is_written
        clock(2)

    def write_out(written: Written) -> bool:
        assert written is WRITTEN
        clock(4)
        return is_written

    at_once = AtOnce("key", "item", lambda items: [(None, None)], alone)
    rest = (DURABLE,) if is_written else (WRITTEN, DURABLE)
    steps = observed(Story(clock, (at_once, *rest)), counts)
    effect = next(steps)
    assert isinstance(effect, AtOnce)
    assert (effect.key, effect.item) == ("key", "item")
    assert effect.perform is at_once.perform
    assert effect.alone is not None
    effect.alone(write_out)
    for _ in rest:
        steps.send(None)
        clock(5)
    with pytest.raises(StopIteration):
        steps.send(None)
    assert seconds(counts, Stage.WRITE) == (1, write)
    assert seconds(counts, Stage.COMMIT) == (1, commit)


def test_a_commit_of_what_nobody_wrote_takes_its_own_time(clock, counts) -> None:
    clock(1000)
    go(observed(Story(clock, (DURABLE,)), counts), clock, 3)
    assert seconds(counts, Stage.COMMIT) == (1, 3)


def test_an_error_goes_to_the_delivery_and_is_no_commit(clock, counts) -> None:
    caught = []

    def delivery() -> Steps[Outcome]:
        yield WRITTEN
        try:
            yield DURABLE
        except OSError as error:
            caught.append(error)
        return SENT

    steps = measuring._timed(delivery(), counts)
    next(steps)
    steps.send(True)
    error = OSError(5, "x")
    with pytest.raises(StopIteration):
        steps.throw(error)
    assert caught == [error]
    assert seconds(counts, Stage.COMMIT)[0] == 0


def test_what_a_delivery_raises_goes_on(clock, counts) -> None:
    def delivery() -> Steps[Outcome]:
        yield WRITTEN
        raise KeyError("a")

    steps = measuring._timed(delivery(), counts)
    next(steps)
    with pytest.raises(KeyError):
        steps.send(True)


def test_a_delivery_that_is_closed_can_clear_up(clock, counts) -> None:
    cleared = []

    def delivery() -> Steps[Outcome]:
        try:
            yield Ready(3, None)
        finally:
            cleared.append(True)
        return SENT

    steps = measuring._timed(delivery(), counts)
    next(steps)
    steps.close()
    assert cleared == [True]


def reported(
    word: str,
    mailbox: Mailbox | None,
    stats: MessageStats,
    filling: Filling | None = None,
) -> Report:
    return Report(
        request(3)._replace(stats=stats),
        Recipient(original_recipient=b"", address=b"bob@x", offset=0),
        "virtual",
        moment(20, 500_000),
        Dsn("2.0.0", "a"),
        word,
        mailbox,
        filling,
    )


def test_outcomes_are_counted_by_the_words_of_the_log(counts) -> None:
    words = "sent bounced SOFTBOUNCE deferred deliverable undeliverable corrupt"
    boxes = (BOX, Mailbox(b"/mail/bob", Owner(1, 1)), None)
    stats = MessageStats(moment(1), moment(10), moment(12))
    for word, box in itertools.product(words.split(), boxes):
        Counting(counts).reported(reported(word, box, stats))
    Counting(counts).reported(reported("undeliverable-but-not-cached", None, stats))
    expected = dict.fromkeys(counts.outcomes(), 1)
    assert counts.outcomes() == expected | {("undeliverable", "none"): 2}
    assert seconds(counts, Stage.QUEUE) == (22, 44)
    assert seconds(counts, Stage.TOTAL) == (22, 231)


def test_what_never_was_in_the_queue_has_no_time_there(counts) -> None:
    Counting(counts).reported(reported("sent", BOX, MessageStats()))
    assert seconds(counts, Stage.QUEUE) == seconds(counts, Stage.TOTAL) == (0, 0)


def test_what_quotas_make_necessary_is_counted(counts) -> None:
    limit, use = Limit(100, 0), Use(99, 3)
    for word, filling in (
        ("sent", Filling(NOTHING, use, limit)),
        ("sent", Filling(NOTHING, use, limit, warned=80)),
        ("deferred", Filling(use, use, limit, "size", 7, 1.0)),
        ("SOFTBOUNCE", Filling(use, use, limit, "size", 0, 0.5)),
        ("bounced", Filling(NOTHING, NOTHING, limit, "message")),
    ):
        Counting(counts).reported(reported(word, BOX, MessageStats(), filling))
    found = {labels: count for labels, count in counts.refusals().items() if count}
    assert found == {("deferred", "size"): 2, ("bounced", "message"): 1}
    assert counts.recounts() == (2, 7, 1.5 * SECOND)
    assert counts.warnings() == 1
