"""When users are warned, and in which words; tests/cli has the messages."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.config.parameters import Settings
from postvirt.delivery.quota_warnings import (
    QuotaWarnings,
    in_words,
    size_in_words,
)
from postvirt.model.quota import Filling, Limit, Use
from tests.harness.child import Log

Read = Callable[..., Settings]


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [
        (0, 799, 0),
        (0, 800, 80),
        (799, 949, 80),
        (799, 950, 95),
        (800, 949, 0),
        (800, 1000, 95),
        (950, 1000, 0),
        (0, 1000, 95),
        (900, 700, 0),
    ],
)
def test_the_highest_that_was_crossed(
    settings: Read, before: int, after: int, percent: int
) -> None:
    warnings = QuotaWarnings(settings(postvirt_quota_warning_percent="95, 80%"))
    limit = Limit(1000, 0)
    assert warnings.crossed(Filling(Use(before, 1), Use(after, 1), limit)) == percent
    limit = Limit(1_000_000, 1000)  # the messages are nearer to it
    assert warnings.crossed(Filling(Use(0, before), Use(0, after), limit)) == percent
    limit = Limit(0, 0)
    assert warnings.crossed(Filling(Use(0, before), Use(0, after), limit)) == 0


def test_each_percentage_is_crossed_once(settings: Read) -> None:
    warnings = QuotaWarnings(settings(postvirt_quota_warning_percent="1 33 50 100"))
    for size in (7, 1000, 3 * 2**60 + 1):
        uses = [Use(size * step // 997, 0) for step in range(998)]
        crossed = [
            warnings.crossed(Filling(before, after, Limit(size, 0)))
            for before, after in itertools.pairwise(uses)
        ]
        assert sorted(filter(None, crossed)) in ([1, 33, 50, 100], [33, 50, 100])


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KB"),
        (1_500_000, "1.4 MB"),
        (2**30, "1.0 GB"),
        (2**52, "4096.0 TB"),
    ],
)
def test_sizes(size: int, words: str) -> None:
    assert size_in_words(size) == words


def test_limits() -> None:
    use = Use(1024, 7)
    for limit, use_in_words, limit_in_words in (
        (Limit(2048, 0), "1.0 KB", "2.0 KB"),
        (Limit(0, 100), "7 messages", "100 messages"),
        (Limit(2048, 100), "1.0 KB and 7 messages", "2.0 KB and 100 messages"),
    ):
        assert in_words(use, limit) == use_in_words
        assert in_words(limit, limit) == limit_in_words


def test_a_template_that_cannot_be_used(
    settings: Read, tmp_path: Path, logged: Log
) -> None:
    template = tmp_path / "template"
    values = {
        "postvirt_quota_warning_percent": "80",
        "postvirt_quota_warning_template": str(template),
    }
    QuotaWarnings(settings(**values))
    template.write_text("nonsense\n\n")
    QuotaWarnings(settings(**values))
    start = f"warning: postvirt_quota_warning_template = {template}: "
    assert logged.lines == [
        f"{start}No such file or directory: using the built-in text instead",
        f'{start}"nonsense" is not a header: using the built-in text instead',
    ]
