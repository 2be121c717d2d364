from __future__ import annotations

import pytest

from postvirt.server.metrics.counts import (
    COMMIT_GROUPS,
    FORMATS,
    OUTCOMES,
    REFUSALS,
    REFUSED,
    SECOND,
    SIZE,
    STAGES,
    Counts,
    Stage,
)


@pytest.fixture
def counts() -> Counts:
    return Counts([0] * SIZE)


def test_no_two_things_are_counted_in_one_place(counts: Counts) -> None:
    """Every number is written when everything happens once in every range."""
    for outcome in OUTCOMES:
        for format_ in FORMATS:
            counts.outcome(outcome, format_)
    counts.lock_wait(1)
    for outcome in REFUSED:
        for reason in REFUSALS:
            counts.refusal(outcome, reason)
    counts.recount(1, 1)
    counts.warning()
    for bound in (*COMMIT_GROUPS.bounds, 10**6):
        counts.commit_group(bound)
    for stage, histogram in STAGES.items():
        for bound in (*histogram.bounds, 10**18):
            counts.stage(stage, bound)
    sums = [COMMIT_GROUPS.last, *(one.last for one in STAGES.values())]
    assert {counts.numbers[place] for place in range(SIZE) if place not in sums} == {1}
    assert all(counts.numbers[place] > 1 for place in sums)


def test_a_value_is_in_the_first_range_that_it_is_not_above(counts: Counts) -> None:
    for files in (1, 2, 3, 4, 5, 1000):
        counts.commit_group(files)
    in_range, sum_ = COMMIT_GROUPS.read(counts.numbers)
    assert in_range == [1, 1, 2, 1, 0, 0, 0, 0, 0, 1]
    assert sum_ == 1015


def test_what_is_done_for_several_counts_for_each(counts: Counts) -> None:
    counts.stage(Stage.COMMIT, SECOND, 3)
    counts.stage(Stage.COMMIT, 2 * SECOND)
    in_range, sum_ = STAGES[Stage.COMMIT].read(counts.numbers)
    assert (sum(in_range), sum_) == (4, 5 * SECOND)
    assert sum(STAGES[Stage.WRITE].read(counts.numbers)[0]) == 0


def test_outcomes_and_lock_waits_are_read_as_they_were_counted(counts: Counts) -> None:
    counts.outcome("bounced", "none")
    counts.outcome("sent", "mbox")
    counts.outcome("sent", "mbox")
    counts.lock_wait(5)
    counts.lock_wait(7)
    found = {labels: count for labels, count in counts.outcomes().items() if count}
    assert found == {("bounced", "none"): 1, ("sent", "mbox"): 2}
    assert counts.lock_waits() == (2, 12)


def test_quotas_are_read_as_they_were_counted(counts: Counts) -> None:
    counts.refusal("deferred", "size")
    counts.refusal("bounced", "message")
    counts.refusal("bounced", "message")
    counts.recount(1000, 5)
    counts.recount(1, 2)
    counts.warning()
    found = {labels: count for labels, count in counts.refusals().items() if count}
    assert found == {("deferred", "size"): 1, ("bounced", "message"): 2}
    assert counts.recounts() == (2, 1001, 7)
    assert counts.warnings() == 1
