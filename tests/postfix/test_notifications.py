"""What the rest of Postfix makes of the reports: the same as with virtual(8)."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage

import pytest

from postvirt.standin.instance import Instance
from tests.harness.beside import OURS, THEIRS, Both, SmtpClient, one_form
from tests.postfix.conftest import StartPostfix

pytestmark = pytest.mark.postfix

MESSAGE = b"From: alice@example.com\nSubject: hello\n\nHello.\n"
SUCCESS = "Successful Mail Delivery Report"
FAILURE = "Undelivered Mail Returned to Sender"


def new_reports(both: Both) -> dict[str, EmailMessage]:
    """What has come for alice, by its subject; the next call does not see it again."""
    both.postfix.wait_until_queue_is_empty()
    reports = both.reports()
    for path in (both.folder(OURS, "alice") / "new").glob("*"):
        path.unlink()
    found = {str(report["Subject"]): report for report in reports}
    assert len(found) == len(reports)
    return found


def statuses(report: EmailMessage, domain: str) -> dict[str, EmailMessage]:
    """The fields about each recipient of a domain, by the recipient."""
    (part,) = [
        one
        for one in report.walk()
        if one.get_content_type() == "message/delivery-status"
    ]
    found = {}
    for one in list(part.iter_parts())[1:]:  # the first is about the message
        assert isinstance(one, EmailMessage)
        address = one["Final-Recipient"].removeprefix("rfc822; ")
        if address.endswith(f"@{domain}"):
            found[address.removesuffix(f"@{domain}")] = one
    return found


def assert_same_report(report: EmailMessage, actions: dict[str, str]) -> None:
    """It says these actions for the users of both domains, and the same all in all."""
    ours, theirs = statuses(report, OURS), statuses(report, THEIRS)
    assert {user: one["Action"] for user, one in ours.items()} == actions
    assert {user: one_form(one.as_string()) for user, one in ours.items()} == {
        user: one_form(one.as_string()) for user, one in theirs.items()
    }
    assert prose(report, OURS) == prose(report, THEIRS)
    assert len(prose(report, OURS)) == len(actions)


def prose(report: EmailMessage, domain: str) -> list[str]:
    """What it says to a person about the recipients of a domain."""
    (notification,) = [
        part for part in report.walk() if part["Content-Description"] == "Notification"
    ]
    paragraphs = notification.get_content().rstrip().split("\n\n")
    return sorted(one_form(one) for one in paragraphs if f"@{domain}>" in one)


def test_reports_are_those_that_the_sender_asked_for(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """With NOTIFY=SUCCESS, with FAILURE too, and with NEVER."""
    both = Both(instance, start_postfix)
    recipients = both.everybody("nobody")
    reports = {}
    for notify in ("success", "success,failure", "never"):
        options = ["-N", notify, "-V", "envelope-1", "-R", "hdrs"]
        options += ["-f", "alice@example.com"]
        both.command("sendmail", [*options, *recipients], MESSAGE)
        reports[notify] = new_reports(both)

    assert {notify: sorted(found) for notify, found in reports.items()} == {
        "success": [SUCCESS],
        "success,failure": [SUCCESS, FAILURE],
        "never": [],
    }
    for notify in ("success", "success,failure"):
        report = reports[notify][SUCCESS]
        assert_same_report(report, {"maildir": "delivered", "mbox": "delivered"})
        maildir = statuses(report, OURS)["maildir"]
        assert maildir["Status"] == "2.0.0"
        assert maildir["Original-Recipient"] == "rfc822;maildir@example.com"
        assert maildir["Diagnostic-Code"] == (
            "X-Postfix; delivery via virtual: delivered to maildir"
        )
        assert "\nOriginal-Envelope-Id: envelope-1\n" in report.as_string()
    failure = reports["success,failure"][FAILURE]
    assert_same_report(failure, {"nobody": "failed"})
    assert statuses(failure, OURS)["nobody"]["Status"] == "5.1.1"
    both.assert_same(3)


def test_a_report_of_what_would_happen(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """sendmail -bv: known and unknown users; nothing is delivered."""
    both = Both(instance, start_postfix)
    options = ["-bv", "-f", "alice@example.com"]
    both.command("sendmail", [*options, *both.everybody("nobody")])
    ((subject, report),) = new_reports(both).items()
    assert subject == "Mail Delivery Status Report"
    actions = {
        "maildir": "deliverable",
        "mbox": "deliverable",
        "nobody": "undeliverable",
    }
    assert_same_report(report, actions)
    assert statuses(report, OURS)["mbox"]["Diagnostic-Code"] == (
        "X-Postfix; delivery via virtual: delivers to mailbox"
    )
    both.assert_same(0)


def test_addresses_are_verified(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """smtpd(8) takes known recipients and rejects others; nothing is delivered."""
    both = Both(
        instance,
        start_postfix,
        smtpd_reject_unlisted_recipient="no",
        smtpd_recipient_restrictions="reject_unverified_recipient, permit",
        unverified_recipient_reject_code="550",
        address_verify_poll_delay="1s",
    )

    def verify(address: str) -> tuple[int, str]:
        with SmtpClient(instance) as client:
            client.mail("alice@example.org")
            while True:
                code, reply = client.rcpt(address)
                if b"verification in progress" not in reply:
                    return code, one_form(reply.decode())

    addresses = both.everybody("nobody")
    with ThreadPoolExecutor(len(addresses)) as pool:
        replies = dict(zip(addresses, pool.map(verify, addresses), strict=True))
    for user, code in (("maildir", 250), ("mbox", 250), ("nobody", 550)):
        ours = replies[f"{user}@{OURS}"]
        assert ours == replies[f"{user}@{THEIRS}"]
        assert ours[0] == code
    assert (
        'undeliverable address: unknown user: "nobody@DOMAIN"'
        in (replies[f"nobody@{OURS}"][1])
    )
    log = both.postfix.log_text()
    for domain in (OURS, THEIRS):
        assert len(re.findall(rf"to=<\w+@{domain}>, .*=(un)?deliverable ", log)) == 3
    both.postfix.wait_until_queue_is_empty()
    both.assert_same(0)
