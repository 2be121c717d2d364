"""Messages that cleanup(8) edited in the queue file, by header_checks and by a milter.

Such a file is full of pointers: a header that grew, a new body or a new recipient is at
the end of the file, and the old place points there. The files are made by a genuine
Postfix, once; each of them is delivered by both agents, and then they all go through
the queue manager to postvirt.
"""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from postvirt.model.request import DeliveryRequest
from postvirt.standin.demonstration import launcher
from postvirt.standin.instance import Instance
from postvirt.standin.postfix import PrivatePostfix
from postvirt.standin.queue_file import QueueFile
from tests.harness.comparison import GENUINE, POSTVIRT, difference, observe
from tests.harness.editing_milter import (
    Milter,
    add_header,
    add_recipient,
    change_header,
    change_sender,
    insert_header,
    remove_recipient,
    replace_body,
)
from tests.harness.scenario import MAILBOXES, Mail, Scenario, to

pytestmark = pytest.mark.postfix

_HEADER_CHECKS = """\
/^X-Prepend:/ PREPEND X-Prepended: by header_checks
/^X-Replace: (.*)/ REPLACE X-Replaced: $1, and much longer than it was before
/^X-Shorten:/ REPLACE X: y
/^X-Drop:/ IGNORE
"""
_BODY_CHECKS = """\
/^replace this/ REPLACE From now on this
/^prepend here/ PREPEND From nowhere
/^drop this/ IGNORE
"""

_CHECKED = (
    "X-Prepend: 1\nX-Replace: 2\nX-Shorten: a long value, soon to be short\n"
    "X-Drop: 3\nX-Prepend: 4\n"
)
_CHECKED_BODY = "first\nreplace this\nprepend here\ndrop this\nFrom me\nlast\n"
_LONG = "word " * 600
_LINES = b"".join(b"line %d\r\nFrom line %d\r\n" % (n, n) for n in range(8000))
_BODY = b"From the new body\r\n\r\n" + b"z" * 5000 + b"\r\nend\r\n"


@dataclass(frozen=True, slots=True)
class _Edited:
    """A message, and what the milter does with it."""

    edits: Sequence[bytes] = ()
    headers: str = ""
    body: str = "Hello.\nFrom me.\n"


_HEADER_EDITS = (
    insert_header(0, "X-First", "inserted at the top"),
    insert_header(2, "X-Middle", "inserted in the middle"),
    change_header("X-Old", _LONG),
    change_header("X-Gone", ""),
    change_header("From", "carol@example.net (changed)"),
    add_header("X-Last", "added"),
    add_header("X-Folded", "one\n\ttwo\n\tthree"),
)
_OLD_HEADERS = "X-Old: value\nX-Gone: value\nX-Old: another\n"

_MESSAGES: Mapping[str, _Edited] = {
    "not edited": _Edited(),
    "checks": _Edited(headers=_CHECKED, body=_CHECKED_BODY),
    "header added": _Edited((add_header("X-New", "value"),)),
    "header added that is long": _Edited((add_header("X-New", _LONG),)),
    "header inserted at the top": _Edited((insert_header(0, "X-New", "value"),)),
    "header inserted in the middle": _Edited((insert_header(3, "X-New", "value"),)),
    "header inserted behind the last": _Edited((insert_header(99, "X-New", "v"),)),
    "header shortened": _Edited((change_header("X-Old", "v"),), _OLD_HEADERS),
    "header lengthened": _Edited((change_header("X-Old", _LONG),), _OLD_HEADERS),
    "header removed": _Edited((change_header("X-Gone", ""),), _OLD_HEADERS),
    "second of two": _Edited((change_header("X-Old", _LONG, 2),), _OLD_HEADERS),
    "same header again and again": _Edited(
        [change_header("X-Old", f"{n} {_LONG}") for n in range(20)], _OLD_HEADERS
    ),
    "hundred headers inserted": _Edited(
        [insert_header(n % 7, f"X-{n}", f"{n}") for n in range(100)]
    ),
    "all headers removed and some added": _Edited(
        (
            *(change_header(name, "") for name in ("X-Old", "X-Old", "X-Gone")),
            *_HEADER_EDITS,
        ),
        _OLD_HEADERS,
    ),
    "body shortened": _Edited(replace_body(b"x\r\n"), body="long line\n" * 500),
    "body lengthened": _Edited(replace_body(_BODY)),
    "body of many lines": _Edited(replace_body(_LINES)),
    "body emptied": _Edited(replace_body(b"")),
    "body without newline": _Edited(replace_body(b"one\r\nFrom two")),
    "body where there was none": _Edited(replace_body(_BODY), body=""),
    "recipient added": _Edited((add_recipient("carol@example.com"),)),
    "recipient removed": _Edited((remove_recipient("mbox@example.com"),)),
    "sender changed": _Edited((change_sender("somebody.else@example.net"),)),
    "everything": _Edited(
        (
            *_HEADER_EDITS,
            *replace_body(_LINES),
            add_recipient("carol@example.com"),
            change_sender("somebody.else.with.a.long.name@example.net"),
            add_header("X-Late", _LONG),
        ),
        _CHECKED + _OLD_HEADERS,
        _CHECKED_BODY,
    ),
}


@dataclass(frozen=True, slots=True)
class _Held:
    """A queue file of the hold queue: its bytes, and the text as postcat(1) sees it."""

    data: bytes
    text: bytes


@dataclass(frozen=True, slots=True)
class _Made:
    """What the genuine Postfix has made, and what postvirt has delivered of it."""

    held: Mapping[str, _Held]
    delivered: Sequence[bytes]


@pytest.fixture(scope="module")
def made() -> Iterator[_Made]:
    root = Path(tempfile.mkdtemp(prefix="postvirt-test-"))
    root.chmod(0o755)
    try:
        yield _make(Instance(root / "instance"), root / "milter")
    finally:
        shutil.rmtree(root)


def _make(instance: Instance, socket: Path) -> _Made:
    (instance.etc / "header_checks").write_text(_HEADER_CHECKS)
    (instance.etc / "body_checks").write_text(_BODY_CHECKS)
    parameters = {
        "virtual_mailbox_maps": instance.add_table("texthash", "mailboxes", MAILBOXES),
        "header_checks": f"regexp:{instance.etc}/header_checks",
        "body_checks": f"regexp:{instance.etc}/body_checks",
        "non_smtpd_milters": f"unix:{socket}",
        "milter_default_action": "tempfail",
    }
    milter = Milter(socket, {name: one.edits for name, one in _MESSAGES.items()})
    postfix = PrivatePostfix(instance, launcher(), parameters)
    hold = instance.spool / "hold"
    try:
        with postfix:
            for name, one in _MESSAGES.items():
                message = f"Subject: {name}\n{one.headers}\n{one.body}".encode()
                recipients = ["bob@example.com", "mbox@example.com"]
                postfix.send("alice@example.org", recipients, message)
            postfix.wait_until(lambda: len(_complete(hold)) == len(_MESSAGES))
            held = [_read(postfix, path) for path in _files(hold)]
            postfix.command("postsuper", "-c", str(instance.etc), "-H", "ALL")
            postfix.flush()
            postfix.wait_until(lambda: not _files(hold))
            postfix.wait_until_queue_is_empty()
            new = (instance.mail / "bob" / "new").iterdir()
            delivered = [path.read_bytes() for path in new]
    finally:
        milter.close()
    return _Made({_subject(one.text): one for one in held}, delivered)


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def _complete(queue: Path) -> list[Path]:
    """The queue files that cleanup(8) has finished: only then they are executable."""
    return [path for path in _files(queue) if path.stat().st_mode & stat.S_IXUSR]


def _read(postfix: PrivatePostfix, path: Path) -> _Held:
    command = ["postcat", "-c", str(postfix.instance.etc), "-bh", str(path)]
    text = subprocess.run(command, check=True, capture_output=True).stdout
    return _Held(path.read_bytes(), text)


def _subject(text: bytes) -> str:
    found = re.search(rb"(?m)^Subject: (.*)$", text)
    assert found is not None, text[:500]
    return found[1].decode()


def _mail(held: _Held) -> Mail:
    """The queue file as it is, and the request that the queue manager makes of it."""
    records = list(_records(held.data))
    sizes = next(data for kind, _, data in records if kind == b"C").split()
    recipients = tuple(
        to(address)._replace(offset=offset)
        for kind, offset, address in records
        if kind == b"R"
    )

    def before(instance: Instance, queued: QueueFile) -> None:
        queued.path.write_bytes(held.data)

    def change(request: DeliveryRequest) -> DeliveryRequest:
        return request._replace(
            data_size=int(sizes[0]),
            data_offset=int(sizes[1]),
            recipients=recipients,
        )

    return Mail(before=before, change=change)


def _records(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """The records as the queue manager meets them: type, offset, data.

    The file is no row of records any more: where cleanup(8) has put a pointer over a
    longer header, the rest of the header stays behind it. Only the pointers tell.
    """
    kind = b""
    position = 0
    while kind != b"E":
        start = position
        kind = data[start : start + 1]
        size = shift = 0
        position += 1
        while True:
            byte = data[position]
            position += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        content = data[position : position + size]
        yield kind, start, content
        position += size
        if kind == b"p":
            position = int(content) or position


def _pointers(held: _Held) -> int:
    """How many pointers of the file lead somewhere."""
    return sum(kind == b"p" and int(data) > 0 for kind, _, data in _records(held.data))


def test_edited_messages_are_delivered_as_virtual_does(made: _Made) -> None:
    mails = tuple(_mail(held) for held in made.held.values())
    scenario = Scenario(name="edited messages", mails=mails)
    with ThreadPoolExecutor() as pool:
        genuine, postvirt = pool.map(partial(observe, scenario), (GENUINE, POSTVIRT))
    found = difference(genuine, postvirt)
    assert not found, found
    # Bob and mbox of each message; one mbox was removed, and carol was added twice.
    log = postvirt.sections["log"]
    sent = sum("status=sent (delivered to " in line for line in log)
    assert sent == 2 * len(_MESSAGES) - 1 + 2


def test_the_files_are_what_they_are_meant_to_be(made: _Made) -> None:
    without = {name for name, held in made.held.items() if not _pointers(held)}
    assert without == {"not edited", "checks", "recipient removed"}
    text = made.held["everything"].text
    for line in (
        b"X-First: inserted at the top",
        b"X-Prepended: by header_checks",
        b"X-Replaced: 2, and much longer than it was before",
        b"From line 7999",
    ):
        assert line in text
    assert b"X-Gone" not in text
    assert b"From now on this\nFrom nowhere\n" in made.held["checks"].text


def test_edited_messages_arrive_through_the_queue_manager(made: _Made) -> None:
    """What postvirt has written is what postcat(1) says is in the queue file."""
    delivered = {_subject(message): message for message in made.delivered}
    assert delivered.keys() == _MESSAGES.keys()
    assert len(made.delivered) == len(_MESSAGES)
    for name, message in delivered.items():
        text = message.partition(b"Delivered-To: bob@example.com\n")[2]
        assert text == made.held[name].text, name
