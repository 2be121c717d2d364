"""Mail through a genuine Postfix: nothing is lost, doubled or misplaced.

It comes from smtp-source(1) and others, over the sockets of the instance only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from postvirt.standin.instance import Instance
from postvirt.standin.postfix import PrivatePostfix
from tests.harness import milter
from tests.harness.beside import OURS, SMTPD, THEIRS, Both, SmtpClient
from tests.harness.milter import Milter
from tests.harness.received import body, field, messages, queue_id
from tests.postfix.conftest import StartPostfix

pytestmark = pytest.mark.postfix


def smtp_source(postfix: PrivatePostfix, *arguments: str) -> None:
    """Send mail with smtp-source(1)."""
    path = postfix.instance.socket("public/smtp")
    postfix.command("smtp-source", *arguments, f"unix:{path}")


def leftovers(instance: Instance) -> list[Path]:
    """Files in any tmp/ and lock files."""
    found = [*instance.mail.rglob("tmp/*"), *instance.mail.rglob("*.lock")]
    return [path for path in found if path.is_file()]


BATCHES = range(10)
USERS = 200


def batch_message(batch: int) -> bytes:
    """A message of its own for each batch, with lines that need some care."""
    lines = [b"From the start", b".", b"..dots", b"", b"x" * 3000, b"\xc3\xa4\xff"]
    lines += [b"From line %d of batch %d" % (number, batch) for number in range(50)]
    return b"Subject: batch %d\n\n" % batch + b"\n".join(lines[batch % 3 :]) + b"\n"


def test_two_thousand_messages(instance: Instance, start_postfix: StartPostfix) -> None:
    """Ten to each of 200 mailboxes; some are maildirs, most are mbox files."""
    # The numbers that smtp-source makes begin with 0 or 1, as its version has it.
    places = {user: f"{user}" if user % 4 else f"{user}/" for user in range(USERS + 1)}
    postfix = start_postfix(
        {f"{user}@example.com": place for user, place in places.items()},
        services=SMTPD,
    )
    content = instance.root / "content"
    for batch in BATCHES:
        content.write_bytes(batch_message(batch))
        smtp_source(
            postfix,
            *("-N", "-m", str(USERS), "-s", "4", "-t", "@example.com"),
            *("-F", os.fspath(content), "-f", f"sender{batch}@example.org"),
        )
    count = len(BATCHES) * USERS
    postfix.wait_until(lambda: postfix.log_text().count(": removed\n") >= count)
    postfix.wait_until_queue_is_empty()

    log = postfix.log_text()
    queue_ids = set()
    users = sorted(int(path.name) for path in instance.mail.iterdir())
    assert users in (list(range(USERS)), list(range(1, USERS + 1)))
    for user in users:
        place = places[user]
        found = messages(instance.mail / place)
        arrived = {field(one, "Subject"): one for one in found}
        assert len(found) == len(BATCHES)
        assert sorted(arrived) == [f"batch {batch}" for batch in BATCHES]
        for batch in BATCHES:
            one = arrived[f"batch {batch}"]
            expected = body(batch_message(batch)) + b"\n"  # smtp-source's
            if not place.endswith("/"):
                expected = re.sub(rb"(?m)^From ", b">From ", expected)
            assert body(one) == expected
            assert field(one, "Delivered-To") == f"{user}@example.com"
            assert field(one, "Return-Path") == f"<sender{batch}@example.org>"
            line = f"{queue_id(one)}: to=<{user}@example.com>, relay=virtual, "
            assert log.count(line) == 1
            queue_ids.add(queue_id(one))
    assert len(queue_ids) == log.count("status=sent") == count
    assert leftovers(instance) == []


def test_transports_with_options_of_their_own(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """Two more services run the same program, each with its own places and owners."""
    inner = instance.mail / "inner"
    inner.mkdir()
    instance.recipient_owner.give(inner)
    transports = {"second.example": "second", "third.example": "third"}
    postfix = start_postfix(
        {f"bob@{domain}": "bob/" for domain in ("first.example", *transports)},
        services=(
            "second unix - n n - - virtual",
            f"  -o virtual_mailbox_base={inner}",
            "  -o virtual_uid_maps=static:5001 -o virtual_gid_maps=static:5002",
            "third unix - n n - 1 virtual",
            "  -o { virtual_mailbox_maps = inline:{ bob@third.example=third } }",
        ),
        transport_maps=instance.add_table("texthash", "transport", transports),
    )
    inner.chmod(0o777)
    recipients = [f"bob@{domain}" for domain in ("first.example", *transports)]
    for number in range(10):
        content = b"Subject: %d\n\nFrom here\n" % number
        postfix.send("alice@example.org", recipients, content)
    postfix.wait_until_queue_is_empty()

    places = {
        "first": (instance.mail / "bob", 5000, b"From here\n"),
        "second": (inner / "bob", 5001, b"From here\n"),
        "third": (instance.mail / "third", 5000, b">From here\n"),
    }
    log = postfix.log_text()
    for domain, (place, owner, text) in places.items():
        arrived = messages(place)
        assert sorted(int(field(one, "Subject")) for one in arrived) == list(range(10))
        assert {body(one) for one in arrived} == {text}
        assert place.stat().st_uid == owner
        service = "virtual" if domain == "first" else domain
        line = f"to=<bob@{domain}.example>, relay={service}, "
        assert log.count(line) == 10
        # The process is named after the program, as with virtual(8).
        assert len(re.findall(rf" postfix/virtual\[\d+\]: \w+: {line}", log)) == 10


MESSAGE = (
    "From: alice@example.org\nSubject: as it was\nX-Secret: to be removed\n\n"
    "The body as it was.\n"
)
HEADERS = (
    milter.add_header("X-Added", "at the end"),
    milter.insert_header(0, "X-Inserted", "in front"),
    milter.change_header("Subject", "as it is now, and quite a bit longer " * 9),
    milter.change_header("X-Secret", ""),
)
LONG_BODY = milter.replace_body(b"From the milter\r\n" * 2000)
SENDER = milter.change_sender("carol@example.org")
EDITS = {
    "nothing": (),
    "headers": HEADERS,
    "longer body": (LONG_BODY,),
    "shorter body": (milter.replace_body(b"x\r\n"),),
    "body in pieces": (milter.replace_body(b"Fro"), milter.replace_body(b"m me\r\n")),
    "no body": (milter.replace_body(b""),),
    "sender": (SENDER,),
    "recipients": (
        milter.remove_recipient("mbox@example.com"),
        milter.add_recipient("mbox@example.com"),
        milter.add_recipient("alice@example.com"),
    ),
    "twice": (
        milter.change_header("Subject", "shorter"),
        milter.change_header("Subject", "longer than the one before it was"),
        milter.insert_header(1, "X-One", "1"),
        milter.insert_header(1, "X-Two", "2"),
    ),
    "everything": (*HEADERS, LONG_BODY, SENDER),
}


@pytest.fixture
def editor(instance: Instance) -> Iterator[Milter]:
    """A milter that edits whatever comes."""
    running = Milter(instance.root / "milter")
    yield running
    running.stop()


def test_messages_that_a_milter_edits(
    instance: Instance, start_postfix: StartPostfix, editor: Milter
) -> None:
    """The edits become pointers in the queue file, and both programs follow them."""
    both = Both(instance, start_postfix, smtpd_milters=editor.parameter)
    for edits in EDITS.values():
        editor.edits = edits
        with SmtpClient(instance) as client:
            client.sendmail("alice@example.org", both.everybody(), MESSAGE)
    editor.edits = (*EDITS["everything"], milter.quarantine("to look at it"))
    with SmtpClient(instance) as client:
        client.sendmail("alice@example.org", both.everybody(), MESSAGE)
    both.postfix.wait_until(lambda: len(both.postfix.queue()) == 1)
    (held,) = both.postfix.queue()
    listing = both.command("postcat", ["-v", "-q", str(held["queue_id"])])
    assert listing.count("pointer_record: ") > 5
    both.command("postsuper", ["-H", "ALL"])
    both.postfix.wait_until_queue_is_empty()

    both.assert_same(len(EDITS) + 1)
    (last,) = messages(both.folder(OURS, "alice"))
    assert field(last, "Subject") == "as it was"
    found = messages(both.folder(OURS, "maildir"))
    edited = [
        one for one in found if field(one, "Return-Path") == "<carol@example.org>"
    ]
    assert len(edited) == 3
    headers = [one for one in found if b"\nX-Added: at the end\n" in one]
    assert len(headers) == 3
    for one in headers:
        assert field(one, "X-Inserted") == "in front"
        assert field(one, "Subject") == ("as it is now, and quite a bit longer " * 9)
        assert b"X-Secret" not in one
    assert [body(one) for one in found].count(b"From the milter\n" * 2000) == 3
    assert leftovers(instance) == []


def numbered(number: int) -> bytes:
    return b"Subject: %d\n\nFrom %d\n" % (number, number)


def assert_each_once(both: Both, count: int) -> None:
    """Every user in both domains has every numbered message once."""
    both.assert_same(count)
    for domain in (OURS, THEIRS):
        for user in ("maildir", "mbox"):
            found = messages(both.folder(domain, user))
            subjects = sorted(int(field(one, "Subject")) for one in found)
            assert subjects == list(range(count))
    assert leftovers(both.instance) == []


# No new attempts by themselves: what is being delivered must not be tried or requeued.
ONLY_WHEN_ASKED = {
    "minimal_backoff_time": "1h",
    "maximal_backoff_time": "1h",
    "queue_run_delay": "1h",
}


def all_deferred(both: Both, count: int) -> bool:
    """So many messages wait in the queue, and none is being delivered."""
    names = [message["queue_name"] for message in both.postfix.queue()]
    return names == ["deferred"] * count


def close_maildirs(both: Both) -> None:
    """Make maildirs that the recipients cannot write."""
    for domain in (OURS, THEIRS):
        both.folder(domain, "maildir").mkdir(mode=0o700)


def open_maildirs(both: Both) -> None:
    for domain in (OURS, THEIRS):
        both.instance.recipient_owner.give(both.folder(domain, "maildir"))


def test_what_is_deferred_is_delivered_when_the_cause_is_mended(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """A recipient who already has a copy does not receive another."""
    both = Both(instance, start_postfix, **ONLY_WHEN_ASKED)
    close_maildirs(both)
    for number in range(10):
        both.postfix.send("alice@example.org", both.everybody(), numbered(number))
    both.postfix.wait_until(lambda: all_deferred(both, 10))
    for domain in (OURS, THEIRS):
        assert len(messages(both.folder(domain, "mbox"))) == 10

    open_maildirs(both)
    both.postfix.flush()
    both.postfix.wait_until_queue_is_empty()
    assert_each_once(both, 10)


def test_requeued_mail_is_delivered_once(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """postsuper -r gives every message a new queue id, again and again."""
    both = Both(instance, start_postfix, **ONLY_WHEN_ASKED)
    close_maildirs(both)
    for number in range(10):
        both.postfix.send("alice@example.org", both.everybody(), numbered(number))
    queue_ids: set[object] = set()
    for turn in range(1, 4):
        both.postfix.wait_until(lambda: all_deferred(both, 10))
        queue_ids |= {message["queue_id"] for message in both.postfix.queue()}
        assert len(queue_ids) == 10 * turn
        if turn == 3:
            open_maildirs(both)
        both.command("postsuper", ["-r", "ALL"])
    both.postfix.wait_until_queue_is_empty()
    assert_each_once(both, 10)
