"""Notices about mailboxes that fill up go through the genuine cleanup(8)."""

from __future__ import annotations

import email
import email.policy

import pytest

from postvirt.standin.instance import Instance
from tests.postfix.conftest import StartPostfix

pytestmark = pytest.mark.postfix


def test_the_postmaster_gets_a_notice_for_each_crossing(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """Also where the mailbox of notices fills up by them, which is no loop."""
    limits = {"bob@example.com": "4000", "post@example.com": "2000"}
    postfix = start_postfix(
        {"bob@example.com": "bob/", "post@example.com": "post/"},
        virtual_mailbox_limit_maps=instance.add_table("hash", "limits", limits),
        virtual_mailbox_limit_override="yes",
        message_size_limit="100000",
        postvirt_quota_warning_percent="50 80",
        postvirt_quota_notice_recipient="post@example.com",
    )
    for size in (1800, 300):
        message = b"Subject: a\n\n" + b"x" * size
        postfix.send("alice@example.org", ["bob@example.com"], message)
        postfix.wait_until_queue_is_empty()
    notices = [
        email.message_from_bytes(one.read_bytes(), policy=email.policy.default)
        for one in (instance.mail / "post" / "new").iterdir()
    ]
    subjects = [str(one["Subject"]) for one in notices]
    assert sum("Mailbox of bob@example.com is " in one for one in subjects) == 2
    assert any("Your mailbox is " in one for one in subjects)
    assert not any("Mailbox of post@example.com" in one for one in subjects)
    for notice in notices:
        assert notice["Return-Path"] == "<>"
        assert notice["Auto-Submitted"] == "auto-generated"
        assert not notice.defects
    log = postfix.log_text()
    assert "quota notice" not in log
    assert "warning: public/cleanup" not in log
    assert "status=bounced" not in log
