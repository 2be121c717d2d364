"""Folders that mail creates are what IMAP clients of Dovecot see, and the reverse."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from postvirt.standin.instance import Instance
from tests.shared_maildirs.trial import USER, shared

pytestmark = pytest.mark.root


def deliver(instance: Instance, *names: str) -> None:
    recipients = [f"{USER}+{name}@example.com" for name in names]
    done = subprocess.run(
        [Path(sys.executable).parent / "postvirt", "deliver", "-f", "", *recipients],
        input=b"Subject: hello\n\nHello.\n",
        capture_output=True,
        check=False,
        env={**os.environ, "MAIL_CONFIG": str(instance.etc)},
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_dovecot_shows_the_folders_that_mail_creates(instance: Instance) -> None:
    mailboxes = {f"{USER}@example.com": f"{USER}/"}
    instance.main_cf(
        {
            "virtual_mailbox_maps": instance.add_table("texthash", "m", mailboxes),
            "virtual_minimum_uid": "1",
            "virtual_mailbox_limit": "40000000",
            "virtual_maildir_extended": "yes",
            "recipient_delimiter": "+",
            "postvirt_folders": "yes",
            "postvirt_create_folders": "Work, *",
        }
    )
    with shared(instance, "40000000S") as maildir:
        dovecot = maildir.dovecot
        deliver(instance, "work", "Grüße", "A&B", "a b")
        ours = {"Work", "Grüße", "A&B", "a b"}
        assert dovecot.subscriptions(USER) == ours
        client = dovecot.imap(USER)
        for name in ('"Work"', '"Gr&APwA3w-e"', '"A&-B"', '"a b"'):
            assert client.select(name) == ("OK", [b"1"])
            assert client.search(None, "SUBJECT", "hello") == ("OK", [b"1"])
        # Each changes the list of the other.
        for command in (client.create, client.subscribe):
            assert command('"&AMQ-rger"')[0] == "OK"
        assert client.unsubscribe('"a b"')[0] == "OK"
        deliver(instance, "ÄRGER", "new", "A B")
        assert dovecot.subscriptions(USER) == ours - {"a b"} | {"Ärger", "new"}
        assert client.select('"&AMQ-rger"') == ("OK", [b"1"])
        assert client.select('"a b"') == ("OK", [b"2"])
        # What is deleted is created again, and shown once.
        client.close()
        assert client.delete('"new"')[0] == "OK"
        deliver(instance, "new")
        assert client.select('"new"') == ("OK", [b"1"])
        client.logout()
        answers = maildir.answers()
        assert answers.agree(), answers
        assert answers.files.messages == 7
        lines = (maildir.maildir / "subscriptions").read_bytes().splitlines()
        assert len(lines) == len(set(lines))
