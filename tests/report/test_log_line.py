"""The log line of a recipient, against log_adhoc() of the genuine libraries."""

from __future__ import annotations

import random

import pytest

from postvirt.model.outcome import Dsn
from postvirt.model.report import Report
from postvirt.model.request import MessageStats, Recipient
from postvirt.model.text import text
from postvirt.report.log_line import LineFormat, format_delay, recipient_line
from tests.harness.libpostfix import ask
from tests.harness.reporting import request
from tests.harness.times import moment

SECOND = 1_000_000
STYLE = LineFormat(max_decimals=2, external_address=True, utf8=True)
STATS = MessageStats(moment(100, 0), moment(101, 0), moment(102, SECOND // 2), 0)


def line(
    address: bytes = b"user@example.com",
    original: bytes = b"",
    stats: MessageStats = STATS,
    now: int = moment(103, 0),
    style: LineFormat = STYLE,
) -> str:
    report = Report(
        request(3)._replace(queue_id=b"3F1A", stats=stats),
        Recipient(original_recipient=original, address=address, offset=-1),
        "virtual",
        now,
        Dsn("2.0.0", "delivered to maildir"),
        "sent",
        None,
    )
    return recipient_line(report, style)


def test_the_line_has_postfix_form():
    assert line() == (
        "3F1A: to=<user@example.com>, relay=virtual, delay=3, delays=1/1.5/0/0.5, "
        "dsn=2.0.0, status=sent (delivered to maildir)"
    )


@pytest.mark.parametrize(
    ("original", "shown"),
    [
        (b"", ""),
        (b"user@example.com", ""),
        (b"User@EXAMPLE.com", ""),
        (b"other@example.com", ", orig_to=<other@example.com>"),
        (b"us er@example.com", ', orig_to=<"us er"@example.com>'),
    ],
)
def test_the_original_recipient_is_shown_when_it_differs(original, shown):
    assert line(original=original).startswith(
        f"3F1A: to=<user@example.com>{shown}, relay="
    )


@pytest.mark.parametrize(
    ("external", "shown"), [(True, '"us er"@x'), (False, "us er@x")]
)
def test_addresses_are_quoted_as_configured(external, shown):
    style = LineFormat(max_decimals=2, external_address=external, utf8=True)
    assert line(b"us er@x", style=style).startswith(f"3F1A: to=<{shown}>")


def test_an_empty_address_has_no_quotes():
    assert line(b"").startswith("3F1A: to=<>, relay=")


@pytest.mark.parametrize(("utf8", "shown"), [(True, ""), (False, ", orig_to=<É@x>")])
def test_case_is_that_of_unicode_only_with_smtputf8(utf8, shown):
    style = LineFormat(max_decimals=2, external_address=True, utf8=utf8)
    found = line("é@x".encode(), "É@x".encode(), style=style)
    assert found.startswith(f"3F1A: to=<é@x>{shown}, relay=")


def test_a_reused_connection_is_counted():
    stats = MessageStats(moment(1), reuse_count=2)
    assert ", relay=virtual, conn_use=3, delay=" in line(stats=stats)


@pytest.mark.parametrize(
    ("microseconds", "decimals", "expected"),
    [
        (0, 2, "0"),
        (4_999, 2, "0"),
        (5_000, 2, "0.01"),
        (10_000, 2, "0.01"),
        (99_600, 2, "0.1"),
        (123_456, 2, "0.12"),
        (123_456, 0, "0"),
        (123_456, -1, "0"),
        (1_500_000, -9, "2"),
        (500_000, 0, "1"),
        (994_999, 2, "0.99"),
        (995_000, 2, "1"),
        (1_234_567, 2, "1.2"),
        (1_250_000, 2, "1.3"),
        (9_960_000, 6, "10"),
        (12_345_678, 2, "12"),
        (99_600_000, 6, "100"),
        (111_400_000, 6, "111"),
        (123, 6, "0.00012"),
        (11, 6, "0.000011"),
        (1, 6, "0.000001"),
        (3_600_000_000, 2, "3600"),
    ],
)
def test_delays_have_two_significant_digits(microseconds, decimals, expected):
    assert format_delay(microseconds, decimals) == expected


def test_whole_seconds_have_no_decimals():
    for seconds in (1, 9, 10, 99, 100, 86_400):
        for decimals in range(7):
            assert format_delay(seconds * SECOND, decimals) == str(seconds)


@pytest.mark.postfix
def test_delays_are_written_as_postfix_writes_them():
    chance = random.Random(1)
    near = [
        abs(edge * factor + delta)
        for edge in (1, 5, 10, 95, 99, 100, 995, 999, 9_950, 99_500, 995_000, 9_950_000)
        for factor in (1, 10, 100)
        for delta in (-1, 0, 1)
    ]
    cases = [
        (microseconds, decimals)
        for microseconds in [*near, *(chance.randrange(10**9) for _ in range(200))]
        for decimals in range(7)
    ]
    cases += [(chance.randrange(10 ** chance.randint(1, 8)), 2) for _ in range(1000)]
    answers = ask([("format_tv", *case) for case in cases])
    for case, answer in zip(cases, answers, strict=True):
        assert format_delay(*case) == answer.result, case


@pytest.mark.postfix
def test_lines_are_those_of_postfix():
    """Any order of the clocks, any stage not reached, any two addresses."""
    chance = random.Random(1)
    addresses = [b"user@example.com", b"USER@example.com", b"us er@x", b"\xff@x"]
    addresses += ["É@x".encode(), "é@x".encode(), "straße@x".encode(), b"STRASSE@x"]
    cases = []
    for _ in range(600):
        times = [
            (chance.choice([0, 0, 1000, 1000 + number]), chance.randrange(SECOND))
            for number in range(5)
        ]
        if chance.random() < 0.8:
            times[0] = (1000, times[0][1])
        # Without this time log_adhoc() would ask the clock.
        times[4] = (1000 + chance.randint(0, 200), times[4][1])
        cases.append(
            (
                times,
                chance.choice([-1, 0, 1, 5]),
                [chance.choice([b"", *addresses]), chance.choice(addresses)],
            )
        )
    calls = [
        ("log_adhoc", "3F1A", [part for time in times for part in time], reuse, pair)
        for times, reuse, pair in cases
    ]
    answers = ask([("log_style", 2, True), *calls])[1:]
    for (times, reuse, (original, address)), answer in zip(cases, answers, strict=True):
        stats = MessageStats(*(moment(*time) for time in times), reuse)  # type: ignore[call-arg]
        ours = line(address, original, stats).replace("delivered to maildir", "reason")
        # The log takes out what a terminal should not see.
        assert ours.replace(text(b"\xff"), "?") in answer.log, (times, original)
