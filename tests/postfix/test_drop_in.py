"""Real mail, sent with sendmail(1), through a genuine Postfix that runs postvirt."""

from __future__ import annotations

import contextlib
import mailbox
import os
import re
import threading
import time
from pathlib import Path

import pytest

from postvirt.standin.instance import Instance
from postvirt.standin.postfix import PrivatePostfix
from tests.postfix.conftest import StartPostfix

pytestmark = pytest.mark.postfix

MEGABYTE = 1_000_000


def maildir(instance: Instance, name: str) -> list[bytes]:
    """The messages in a maildir's new/."""
    return [path.read_bytes() for path in (instance.mail / name / "new").glob("*")]


def mbox(instance: Instance) -> list[mailbox.mboxMessage]:
    """The messages in the mbox file."""
    with contextlib.closing(mailbox.mbox(instance.mail / "mbox")) as box:
        return list(box)


def edit_main_cf(instance: Instance, old: str, new: str) -> None:
    """Change main.cf, as if some time ago: Postfix waits for a fresh one to cool."""
    main_cf = instance.etc / "main.cf"
    main_cf.write_text(main_cf.read_text().replace(old, new))
    past = time.time() - 10
    os.utime(main_cf, (past, past))


def body(message: bytes) -> bytes:
    return message.partition(b"\n\n")[2]


def header(message: bytes, name: str) -> str:
    found = re.search(rb"(?m)^%b: (.*)$" % name.encode(), message)
    assert found, f"no {name} in {message[:500]!r}"
    return found[1].decode()


def leftovers(instance: Instance) -> list[Path]:
    """Files in any tmp/: a delivery that did not clean up."""
    return [path for path in instance.mail.rglob("tmp/*") if path.is_file()]


def processes_of(instance: Instance) -> list[str]:
    """Command lines of processes that master(8) started for this instance."""
    found = []
    marker = f"MAIL_CONFIG={instance.etc}\0".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it is gone by now
    return found


def test_every_kind_of_recipient(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """maildir, mbox, extension, catch-all, unknown: in one message."""
    postfix = start_postfix(
        {
            "maildir@example.com": "maildir/",
            "mbox@example.com": "mbox",
            "@catch.example.com": "all/",
        }
    )
    postfix.send(
        "sender@example.org",
        [
            "maildir@example.com",
            "mbox@example.com",
            "maildir+extension@example.com",
            "anybody@catch.example.com",
            "nobody@example.com",
        ],
        b"Subject: all\n\nFirst line\nFrom here on\n",
    )
    postfix.wait_until_queue_is_empty()

    assert sorted(
        header(one, "Delivered-To") for one in maildir(instance, "maildir")
    ) == ["maildir+extension@example.com", "maildir@example.com"]
    (caught,) = maildir(instance, "all")
    assert header(caught, "X-Original-To") == "anybody@catch.example.com"
    assert body(caught) == b"First line\nFrom here on\n"
    (in_mbox,) = mbox(instance)
    assert in_mbox.get_payload() == "First line\n>From here on\n"
    assert in_mbox["Return-Path"] == "<sender@example.org>"
    assert re.search(
        r"to=<nobody@example\.com>, relay=virtual, .*, dsn=5\.1\.1, "
        r'status=bounced \(unknown user: "nobody@example\.com"\)',
        postfix.log_text(),
    )
    assert "sender non-delivery notification" in postfix.log_text()
    assert leftovers(instance) == []
    for path in instance.mail.rglob("*"):
        owner = instance.recipient_owner
        assert (path.stat().st_uid, path.stat().st_gid) == (owner.uid, owner.gid)
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_every_kind_of_content(instance: Instance, start_postfix: StartPostfix) -> None:
    """9 MB, NUL and 8-bit bytes, long lines, From lines, no newline, null sender."""
    postfix = start_postfix({"bob@example.com": "bob/"})
    bodies = {
        "large": b"0123456789abcdef" * 5 * (9 * MEGABYTE // 81) + b"\n",
        "lines": b"".join(b"line %d of many\n" % n for n in range(9 * MEGABYTE // 20)),
        "bytes": bytes(range(256)).replace(b"\r", b"").replace(b"\n", b"") + b"\n",
        "long": b"x" * 2047 + b"\n" + b"y" * 2048 + b"\n" + b"z" * 100_001 + b"\n",
        "from": b"From one\n From two\n>From three\n\nFrom four\n",
        "open": b"no newline at the end",
        "empty": b"",
    }
    for name, content in bodies.items():
        postfix.send(
            "", ["bob@example.com"], b"Subject: %b\n\n" % name.encode() + content
        )
    postfix.wait_until_queue_is_empty()

    delivered = {header(one, "Subject"): one for one in maildir(instance, "bob")}
    assert delivered.keys() == bodies.keys()
    for name, content in bodies.items():
        end = b"\n" if content and not content.endswith(b"\n") else b""
        assert body(delivered[name]) == content + end, name
        assert header(delivered[name], "Return-Path") == "<>"


@pytest.mark.parametrize("table_type", ["hash", "btree", "lmdb", "texthash"])
def test_every_table_type(
    instance: Instance, start_postfix: StartPostfix, table_type: str
) -> None:
    postfix = start_postfix({"bob@example.com": "bob/"}, table_type)
    postfix.send("", ["bob@example.com"], b"Subject: hello\n\n")
    postfix.wait_until_queue_is_empty()
    assert len(maildir(instance, "bob")) == 1


def test_reload_neither_loses_nor_doubles_mail(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """postfix reload, again and again, while mail is on its way."""
    postfix = start_postfix({"bob@example.com": "bob/", "mbox@example.com": "mbox"})
    sending = send_in_background(postfix, 60)
    for _ in range(5):
        postfix.reload()
    sending.join()
    postfix.wait_until_queue_is_empty()
    assert_each_arrived_once(instance, 60)


def test_stop_neither_loses_nor_doubles_mail_and_leaves_no_process(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """postfix stop in the middle of deliveries, then start again."""
    postfix = start_postfix({"bob@example.com": "bob/", "mbox@example.com": "mbox"})
    for number in range(40):
        send_one(postfix, number)
        if number in (15, 30):
            postfix.stop()
            postfix.wait_until(lambda: processes_of(instance) == [])
            postfix.__enter__()
    postfix.wait_until_queue_is_empty()
    postfix.stop()
    postfix.wait_until(lambda: processes_of(instance) == [])
    assert_each_arrived_once(instance, 40)


def send_one(postfix: PrivatePostfix, number: int) -> None:
    postfix.send(
        "sender@example.org",
        ["bob@example.com", "mbox@example.com"],
        b"Subject: %d\n\ncontent\n" % number,
    )


def send_in_background(postfix: PrivatePostfix, count: int) -> threading.Thread:
    def send() -> None:
        for number in range(count):
            send_one(postfix, number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def assert_each_arrived_once(instance: Instance, count: int) -> None:
    expected = [str(number) for number in range(count)]
    in_maildir = [header(one, "Subject") for one in maildir(instance, "bob")]
    in_mbox = [one["Subject"] for one in mbox(instance)]
    assert sorted(in_maildir, key=int) == expected
    assert sorted(in_mbox, key=int) == expected
    assert leftovers(instance) == []


def test_mail_waits_while_main_cf_is_broken(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """A fatal line names the parameter; once it is mended the mail arrives."""
    postfix = start_postfix(
        {"bob@example.com": "bob/"},
        virtual_minimum_uid="many",
        # Ask again soon: master(8) throttles a service that cannot start.
        transport_retry_time="1s",
        service_throttle_time="1s",
    )
    postfix.send("", ["bob@example.com"], b"Subject: waits\n\n")
    postfix.wait_until(lambda: "bad numerical configuration" in postfix.log_text())
    assert "fatal: bad numerical configuration: virtual_minimum_uid = many" in (
        postfix.log_text()
    )
    assert len(postfix.queue()) == 1
    edit_main_cf(instance, "= many", "= 100")
    postfix.flush()
    postfix.wait_until_queue_is_empty()
    assert len(maildir(instance, "bob")) == 1
    assert "Traceback" not in postfix.log_text()
    assert "bounced" not in postfix.log_text()


@pytest.mark.parametrize(
    ("maps", "complaint"),
    [
        ("nosuch:/somewhere", "unsupported dictionary type: nosuch"),
        ("hash:@etc@/missing", "missing.db: No such file or directory"),
        ("texthash:@etc@/secret", "secret: Permission denied"),
    ],
)
def test_mail_waits_while_a_table_is_unusable(
    instance: Instance, start_postfix: StartPostfix, maps: str, complaint: str
) -> None:
    """Deferred with the reason in the log, and delivered once the table is there."""
    (instance.etc / "secret").write_text("bob@example.com bob/\n")
    (instance.etc / "secret").chmod(0o600)
    maps = maps.replace("@etc@", os.fspath(instance.etc))
    postfix = start_postfix(
        {"other@example.com": "other/"},
        virtual_uid_maps=maps,
    )
    postfix.send("", ["other@example.com"], b"Subject: waits\n\n")
    postfix.wait_until(lambda: "status=deferred" in postfix.log_text())
    assert complaint in postfix.log_text()
    assert (
        "dsn=4.3.5, status=deferred (mail system configuration error)"
        in postfix.log_text()
    )
    assert len(postfix.queue()) == 1
    edit_main_cf(instance, maps, f"static:{instance.recipient_owner.uid}")
    postfix.reload()
    postfix.flush()
    postfix.wait_until_queue_is_empty()
    assert len(maildir(instance, "other")) == 1
    assert "Traceback" not in postfix.log_text()


def test_a_changed_table_is_used_for_the_next_message(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """A recipient that was unknown is known after postmap, without any restart."""
    postfix = start_postfix({"bob@example.com": "bob/"})
    postfix.send("", ["new@example.com"], b"Subject: too early\n\n")
    postfix.wait_until(lambda: "unknown user" in postfix.log_text())
    instance.add_table(
        "hash", "mailboxes", {"bob@example.com": "bob/", "new@example.com": "new/"}
    )
    postfix.send("", ["new@example.com"], b"Subject: in time\n\n")
    postfix.wait_until_queue_is_empty()
    assert [header(one, "Subject") for one in maildir(instance, "new")] == ["in time"]
    assert re.search(
        r"table hash:\S+/mailboxes\(0,lock\|\S*\) has changed -- restarting",
        postfix.log_text(),
    )


def test_a_corrupt_message_is_put_aside_and_neither_delivered_nor_bounced(
    instance: Instance, start_postfix: StartPostfix
) -> None:
    """The queue manager moves it to corrupt/ for somebody to look at."""
    (instance.etc / "checks").write_text("/^X-Hold:/ HOLD\n")
    postfix = start_postfix(
        {"bob@example.com": "bob/", "mbox@example.com": "mbox"},
        header_checks=f"regexp:{instance.etc}/checks",
    )
    for body in (b"damage this line", b"and not this one"):
        postfix.send(
            "alice@example.org",
            ["bob@example.com", "mbox@example.com", "nobody@example.com"],
            b"Subject: x\nX-Hold: yes\n\nfirst\n" + body + b"\n",
        )
    hold = instance.spool / "hold"
    postfix.wait_until(lambda: len(list(hold.glob("*"))) == 2)
    (held,) = [path for path in hold.glob("*") if b"damage" in path.read_bytes()]
    data = held.read_bytes().replace(b"N\x10damage", b"Z\x10damage")
    held.write_bytes(data)
    postfix.command("postsuper", "-c", os.fspath(instance.etc), "-H", "ALL")
    postfix.flush()
    aside = instance.spool / "corrupt" / held.name
    postfix.wait_until(aside.exists)
    postfix.wait_until_queue_is_empty()
    assert aside.read_bytes() in (
        data,
        # The unknown recipient was bounced before anybody read the content.
        data.replace(b"R\x12nobody@example.com", b"D\x12nobody@example.com"),
    )
    log = postfix.log_text()
    assert f"warning: corrupted queue file: active/{held.name}" in log
    assert not re.search(rf"{held.name}: to=<(bob|mbox)@example\.com>", log)
    (delivered,) = maildir(instance, "bob")
    assert body in delivered
    (in_mbox,) = mbox(instance)
    assert "and not this one" in in_mbox.get_payload()
    assert leftovers(instance) == []
