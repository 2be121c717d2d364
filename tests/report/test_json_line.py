from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import Dsn
from postvirt.model.quota import NOTHING, Filling, Limit, Use
from postvirt.model.report import Report
from postvirt.model.request import DeliveryRequest, MessageStats, Recipient
from postvirt.report.json_line import problem_line, report_line
from postvirt.report.log_line import LineFormat, recipient_line
from tests.harness.reporting import request
from tests.harness.times import moment

STYLE = LineFormat(max_decimals=2, external_address=True, utf8=True)
BOX = Mailbox(b"/mail/bob/", Owner(5000, 5001))
REQUEST = request(3)._replace(
    sender=b"alice@example.org",
    stats=MessageStats(
        moment(1_700_000_000),
        moment(1_700_000_001),
        moment(1_700_000_001, 500_000),
    ),
)
RECIPIENT = Recipient(original_recipient=b"old@example.com", address=b"bob@x", offset=1)
DELIVERED = Dsn("2.0.0", "delivered to maildir")


def reported(
    *,
    request: DeliveryRequest = REQUEST,
    recipient: Recipient = RECIPIENT,
    dsn: Dsn = DELIVERED,
    word: str = "sent",
    mailbox: Mailbox | None = BOX,
    filling: Filling | None = None,
) -> Report:
    now = moment(1_700_000_002, 250)
    return Report(request, recipient, "virtual", now, dsn, word, mailbox, filling)


def read(line: bytes) -> dict[str, Any]:
    """What a line says; it is one line of printable ASCII."""
    assert line.endswith(b"\n")
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    found: dict[str, Any] = json.loads(line)
    json.dumps(found, ensure_ascii=False).encode()  # there are no surrogates
    return found


def test_everything_about_a_recipient() -> None:
    assert read(report_line(reported(), 4711, STYLE)) == {
        "time": "2023-11-14T22:13:22.000250Z",
        "pid": 4711,
        "queue_id": "3F1A2B4C5D",
        "from": "alice@example.org",
        "to": "bob@x",
        "orig_to": "old@example.com",
        "relay": "virtual",
        "delay": 2.00025,
        "delays": [1.0, 0.5, 0.0, 0.50025],
        "dsn": "2.0.0",
        "status": "sent",
        "reason": "delivered to maildir",
        "mailbox": "/mail/bob/",
        "format": "maildir",
    }


def test_what_is_not_known_is_null() -> None:
    report = reported(
        recipient=RECIPIENT._replace(original_recipient=b"BOB@X"),
        dsn=Dsn("", "the queue file is corrupt"),
        word="corrupt",
        mailbox=None,
    )
    found = read(report_line(report, 1, STYLE))
    nulls = {name for name, value in found.items() if value is None}
    assert nulls == {"orig_to", "dsn", "mailbox", "format"}
    assert found["status"] == "corrupt"


@pytest.mark.parametrize(("path", "format_"), [(b"/m/a", "mbox"), (b"/m/", "maildir")])
def test_the_format_of_the_mailbox(path: bytes, format_: str) -> None:
    report = reported(mailbox=Mailbox(path, Owner(1, 1)))
    assert read(report_line(report, 1, STYLE))["format"] == format_


def test_a_quota_is_there_if_the_mailbox_has_one() -> None:
    filling = Filling(NOTHING, Use(334, 17), Limit(1000, 0), warned=30)
    assert read(report_line(reported(filling=filling), 1, STYLE))["quota"] == {
        "used": 334,
        "limit": 1000,
        "messages": 17,
        "message_limit": None,
        "percent": 33.4,
        "refusal": None,
        "counted": None,
        "warned": 30,
    }


def test_a_refusal_says_why() -> None:
    use, limit = Use(334, 17), Limit(0, 17)
    filling = Filling(use, use, limit, "messages", 17, 0.5)
    report = reported(word="deferred", filling=filling)
    found = read(report_line(report, 1, STYLE))["quota"]
    assert (found["refusal"], found["counted"]) == ("messages", 17)
    assert (found["limit"], found["message_limit"]) == (None, 17)
    assert (found["used"], found["percent"]) == (334, 100)


def test_the_use_does_not_matter_for_a_message_that_is_too_large() -> None:
    filling = Filling(NOTHING, NOTHING, Limit(1000, 0), "message")
    report = reported(word="bounced", filling=filling)
    found = read(report_line(report, 1, STYLE))["quota"]
    assert (found["refusal"], found["limit"]) == ("message", 1000)
    assert found["used"] is found["messages"] is found["percent"] is None


def test_bytes_that_are_no_text_are_shown() -> None:
    hostile = b'a"\n\r\0\x1b[2J\x7f\xff\xc3\xa4\xe2\x80\xa8\\xff@x'
    report = reported(
        recipient=RECIPIENT._replace(address=hostile),
        mailbox=Mailbox(b"/m/" + hostile, Owner(1, 1)),
    )
    internal = STYLE._replace(external_address=False)
    found = read(report_line(report, 1, internal))
    shown = 'a"\n\r\0\x1b[2J\x7f\\xffä\u2028\\xff@x'
    assert (found["to"], found["mailbox"]) == (shown, f"/m/{shown}")


@given(st.binary(), st.binary(), st.text(), st.booleans())
def test_a_line_is_one_line_of_json_whatever_is_in_it(
    address: bytes, original: bytes, reason: str, external: bool
) -> None:
    report = reported(
        request=REQUEST._replace(sender=original, queue_id=address),
        recipient=RECIPIENT._replace(address=address, original_recipient=original),
        dsn=Dsn("4.0.0", reason),
        mailbox=Mailbox(address, Owner(1, 1)),
    )
    style = STYLE._replace(external_address=external)
    assert read(report_line(report, 1, style))["reason"] == reason


def test_the_addresses_are_those_of_the_other_form() -> None:
    recipient = RECIPIENT._replace(address=b'b o"b@x')
    report = reported(recipient=recipient)
    found = read(report_line(report, 1, STYLE))
    line = recipient_line(report, STYLE)
    assert f"to=<{found['to']}>, orig_to=<{found['orig_to']}>, " in line


def test_a_problem() -> None:
    now = moment(1_700_000_000, 1)
    assert read(problem_line("warning", "a\nb\udcff", now, 5)) == {
        "time": "2023-11-14T22:13:20.000001Z",
        "pid": 5,
        "severity": "warning",
        "text": "a\nb\\xff",
    }
