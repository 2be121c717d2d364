"""Warnings about mailboxes that fill up, with the command that delivers."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest

from postvirt.standin.instance import Instance
from tests.cli.conftest import Run

_LIMIT = 20_000
_MESSAGE = b"Subject: mail\n\n" + b"x" * 70 + b"\n"


@pytest.fixture(autouse=True)
def _warnings(instance: Instance) -> None:
    configure(instance)


def configure(instance: Instance, **more: str) -> None:
    instance.main_cf(
        {
            "virtual_mailbox_maps": f"texthash:{instance.etc}/mailboxes",
            "virtual_mailbox_limit_maps": f"static:{_LIMIT}",
            "virtual_mailbox_limit_override": "yes",
            "virtual_minimum_uid": "1",
            "recipient_delimiter": "+",
            "postvirt_quota_warning_percent": "50, 80, 95",
        }
        | more
    )


def deliver(
    postvirt: Run, percent: float, to: str = "bob@example.com", status: int = 0
) -> bytes:
    """Deliver a message of so many percent of the limit; the log."""
    size = int(percent * _LIMIT / 100)
    # What a delivery adds: two lines with the addresses, and the From line.
    message = _MESSAGE + b"y\n" * ((size - len(_MESSAGE) - 100) // 2)
    done = postvirt("deliver", "-f", "a@example.org", to, stdin=message)
    assert done.returncode == status, done.stderr
    return done.stderr


def messages(instance: Instance) -> list[EmailMessage]:
    """Those in the maildir, the oldest first."""
    files = sorted(
        (instance.mail / "bob" / "new").iterdir(),
        key=lambda one: one.stat().st_mtime_ns,
    )
    return [
        email.message_from_bytes(one.read_bytes(), policy=email.policy.default)
        for one in files
    ]


def subjects(instance: Instance) -> list[str]:
    return [str(one["Subject"]) for one in messages(instance)]


def test_one_for_each_crossing(instance: Instance, postvirt: Run) -> None:
    deliver(postvirt, 45)
    assert subjects(instance) == ["mail"]
    log = deliver(postvirt, 10)
    assert b"quota warning for bob@example.com: 50 %" in log
    fifty = "Your mailbox is 50 % full"
    assert subjects(instance) == ["mail", "mail", fifty]
    deliver(postvirt, 5)
    assert subjects(instance)[3:] == ["mail"]
    deliver(postvirt, 35)
    ninety_five = "Your mailbox is 95 % full"
    assert subjects(instance)[4:] == ["mail", ninety_five]
    deliver(postvirt, 10, status=75)
    assert len(subjects(instance)) == 6


def test_it_is_a_message_in_order(instance: Instance, postvirt: Run) -> None:
    deliver(postvirt, 60)
    found = messages(instance)[1]
    assert not found.defects
    assert found["Return-Path"] == "<>"
    assert found["Delivered-To"] == "bob@example.com"
    assert found["To"] == "bob@example.com"
    assert found["From"] == "Mail Delivery System <MAILER-DAEMON@mail.example.org>"
    assert found["Auto-Submitted"] == "auto-generated"
    assert found["Date"].datetime is not None
    assert found["Message-ID"].endswith(".quota@mail.example.org>")
    text = found.get_content()
    assert "of bob@example.com is 50 % full" in text
    assert "It contains 11.7 KB. The limit is 19.5 KB.\n" in text


def test_a_template(instance: Instance, postvirt: Run) -> None:
    template = instance.etc / "template"
    template.write_text("Subject: voll, ${recipient}\nFrom: x@y\n\nÜber ${percent} %\n")
    configure(instance, postvirt_quota_warning_template=str(template))
    deliver(postvirt, 85)
    found = messages(instance)[1]
    assert (found["Subject"], found["From"]) == ("voll, bob@example.com", "x@y")
    assert found.get_content() == "Über 80 %\n"


def test_it_counts_and_may_exceed_the_limit(instance: Instance, postvirt: Run) -> None:
    configure(instance, virtual_maildir_extended="yes")
    deliver(postvirt, 99.9)
    files = list((instance.mail / "bob" / "new").iterdir())
    size = sum(one.stat().st_size for one in files)
    assert len(files) == 2
    assert size > _LIMIT
    lines = (instance.mail / "bob" / "maildirsize").read_bytes().split(b"\n")[1:]
    pairs = [tuple(map(int, line.split())) for line in lines if line]
    assert (sum(a for a, _ in pairs), sum(b for _, b in pairs)) == (size, 2)


def test_in_an_mbox_file(instance: Instance, postvirt: Run) -> None:
    deliver(postvirt, 45, "mbox@example.com")
    deliver(postvirt, 10, "mbox@example.com")
    deliver(postvirt, 10, "mbox@example.com")
    content = (instance.mail / "mbox").read_bytes()
    assert content.count(b"\nFrom MAILER-DAEMON ") == 1
    assert content.count(b"\nSubject: Your mailbox is 50 % full\n") == 1


def test_without_percentages_there_are_none(instance: Instance, postvirt: Run) -> None:
    configure(instance, postvirt_quota_warning_percent="")
    deliver(postvirt, 90)
    assert subjects(instance) == ["mail"]


def test_a_notice_that_cannot_be_sent(instance: Instance, postvirt: Run) -> None:
    """Postfix does not run; that is nothing to the delivery."""
    configure(instance, postvirt_quota_notice_recipient="postmaster")
    log = deliver(postvirt, 90)
    assert b"warning: connect to public/cleanup: " in log
    assert b"notice to postmaster@mail.example.org about bob@example.com: lost" in log
    assert subjects(instance) == ["mail", "Your mailbox is 80 % full"]


def test_no_notice_about_the_mailbox_of_notices(
    instance: Instance, postvirt: Run
) -> None:
    configure(instance, postvirt_quota_notice_recipient="Bob@example.com")
    assert b"cleanup" not in deliver(postvirt, 90)
