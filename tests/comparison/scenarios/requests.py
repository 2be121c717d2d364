"""What the queue manager may send, and the queue file it speaks of."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from typing import IO

from postvirt.model.request import DeliveryRequest
from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import (
    END,
    EXTRACTED,
    LINE,
    PART_OF_LINE,
    POINTER,
    QueueFile,
    encode_record,
)
from tests.comparison.scenarios.expectations import (
    DELIVERED_MAIL,
    REPLY_DONE,
    log,
    refused_then_delivered,
    sent,
)
from tests.harness.installed_postfix import EIGHTH, OTHER_EIGHTH
from tests.harness.scenario import BOB, MBOX, NOBODY, Before, Mail, Scenario


def _edit(name: str, old: bytes, new: bytes, *, hang_up: bool = True) -> Scenario:
    """A request in which `old` stands for `new`, and a good one after it."""

    def edit(data: bytes) -> bytes:
        assert data.count(old) >= 1
        return data.replace(old, new, 1)

    return Scenario(name=name, mails=(Mail(edit=edit, hang_up=hang_up), Mail()))


def _cut(name: str, length: Callable[[bytes], int]) -> Scenario:
    """A request of which only the beginning is sent, and a good one after it."""
    mail = Mail(edit=lambda data: data[: length(data)], hang_up=True)
    return Scenario(name=name, mails=(mail, Mail()))


def _change(name: str, **changes: object) -> Scenario:
    """A request with other values, and a good one after it."""

    def change(request: DeliveryRequest) -> DeliveryRequest:
        return request._replace(**changes)  # type: ignore[arg-type]

    return Scenario(name=name, mails=(Mail(change=change), Mail()))


_STOPS_EARLY = "One complaint for a request"
_ALIAS = "One name of an attribute"

_DIFFERENT = (
    Scenario(
        name="attribute-extra-at-the-end",
        mails=(
            Mail(
                edit=lambda data: data.replace(
                    b"\0\0original", b"\0more\0x\0\0original", 1
                ),
                hang_up=True,
            ),
            Mail(),
        ),
        differs=_STOPS_EARLY,
        expected={
            "log": (
                log(
                    "warning: unexpected attribute more from virtual socket"
                    " (expecting: (list terminator))"
                ),
                log("warning: deliver_request_get: error receiving common attributes"),
                sent("3F1A2B4C51"),
            )
        },
    ),
    Scenario(
        name="eighth-attribute-of-another-version",
        mails=(Mail(edit=lambda data: data.replace(EIGHTH, OTHER_EIGHTH, 1)),),
        differs=_ALIAS,
        expected={
            "replies": (REPLY_DONE,),
            "mail": DELIVERED_MAIL,
            "queue": ("3F1A2B4C50 -rwx------", "  179: b'R' -> b'D'"),
            "log": (sent("3F1A2B4C50"),),
        },
    ),
)


def _end_of_common(data: bytes) -> int:
    return data.index(b"\0\0original_recipient") + 2


_MALFORMED = (
    _edit("attribute-renamed", b"queue_id\0", b"queueid\0"),
    _edit("attribute-missing", b"nexthop\0example.com\0", b""),
    _edit("attribute-extra", b"sender\0", b"extra\0one\0sender\0"),
    _edit(
        "attributes-swapped",
        b"flags\x003\0queue_name\0active\0",
        b"queue_name\0active\0flags\x003\0",
    ),
    _edit("attributes-none", b"flags\0", b"\0flags\0"),
    _edit("number-is-text", b"flags\x003\0", b"flags\0three\0"),
    _edit("number-with-tail", b"flags\x003\0", b"flags\x003x\0"),
    _edit("number-empty", b"flags\x003\0", b"flags\0\0"),
    _edit("number-negative", b"%s\x000\0" % EIGHTH, b"%s\0-1\0" % EIGHTH),
    _edit("number-large", b"%s\x000\0" % EIGHTH, b"%s\x004294967296\0" % EIGHTH),
    _edit("number-with-blank", b"%s\x000\0" % EIGHTH, b"%s\0 0\0" % EIGHTH),
    _edit("time-is-no-base64", b"time\0", b"time\0%%%"),
    _edit("time-of-another-size", b"time\0", b"time\0AAAA"),
    _edit("recipient-attribute-renamed", b"dsn_orig_rcpt\0", b"dsn_orcpt\0"),
    _edit(
        "recipient-offset-is-text",
        b"recipient\0bob@example.com\0offset\0",
        b"recipient\0bob@example.com\0offset\0x",
    ),
    _edit(
        "recipients-fewer-than-announced",
        b"recipient_count\x001\0",
        b"recipient_count\x002\0",
    ),
    _edit("recipients-none", b"recipient_count\x001\0", b"recipient_count\x000\0"),
    _edit(
        "recipients-negative",
        b"recipient_count\x001\0",
        b"recipient_count\x004294967295\0",
    ),
    _cut("hang-up-at-once", lambda data: 0),
    _cut("hang-up-in-first-name", lambda data: 3),
    _cut("hang-up-in-first-value", lambda data: 6),
    _cut("hang-up-in-common", lambda data: 200),
    _cut("hang-up-after-common", _end_of_common),
    _cut("hang-up-in-recipient", lambda data: _end_of_common(data) + 30),
    _cut("hang-up-before-last-byte", lambda data: len(data) - 1),
)


def _remove(instance: Instance, queued: QueueFile) -> None:
    queued.path.unlink()


def _not_ready(instance: Instance, queued: QueueFile) -> None:
    queued.path.chmod(0o600)


def _directory(instance: Instance, queued: QueueFile) -> None:
    queued.path.unlink()
    queued.path.mkdir(0o700)


def _fifo(instance: Instance, queued: QueueFile) -> None:
    queued.path.unlink()
    os.mkfifo(queued.path, 0o700)


def _symlink(instance: Instance, queued: QueueFile) -> None:
    target = queued.path.with_name("target")
    queued.path.rename(target)
    queued.path.symlink_to(target)


def _not_ours(instance: Instance, queued: QueueFile) -> None:
    os.chown(queued.path, 0, 0)


def _lock(instance: Instance, queued: QueueFile) -> IO[bytes]:
    file = queued.path.open("r+b")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _lock_shared(instance: Instance, queued: QueueFile) -> IO[bytes]:
    file = queued.path.open("r+b")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def _queue(name: str, before: Before) -> Scenario:
    """A queue file in some state, and a good one after it."""
    return Scenario(name=name, mails=(Mail(before=before), Mail()))


_STAYS_ALIVE = "Queue files that cannot be opened"
_NO_LINKS = "Symbolic links in the queue"


def _refused(
    name: str,
    before: Before,
    differs: str,
    warning: str,
    first_in_queue: str = "3F1A2B4C50 -rwx------",
) -> Scenario:
    """A queue file that postvirt refuses, and a good one after it."""
    return Scenario(
        name=name,
        mails=(Mail(before=before), Mail()),
        differs=differs,
        expected=refused_then_delivered(warning, first_in_queue),
    )


def _without_offset(request: DeliveryRequest) -> DeliveryRequest:
    recipients = tuple(one._replace(offset=-1) for one in request.recipients)
    return request._replace(recipients=recipients)


_QUEUE_FILES = (
    _queue("queue-file-missing", _remove),
    _queue("queue-file-not-ready", _not_ready),
    Scenario(
        name="queue-file-is-a-symlink",
        mails=(Mail(before=_symlink), Mail()),
        differs=_NO_LINKS,
        expected={"log": (sent("3F1A2B4C50"), sent("3F1A2B4C51"))},
    ),
    _refused(
        "queue-file-is-a-directory",
        _directory,
        _STAYS_ALIVE,
        "open active 3F1A2B4C50: Is a directory",
        "3F1A2B4C50 is no file",
    ),
    _refused(
        "queue-file-is-a-fifo",
        _fifo,
        _STAYS_ALIVE,
        "open active 3F1A2B4C50: Permission denied",
        "3F1A2B4C50 is no file",
    ),
    _refused(
        "queue-file-not-ours",
        _not_ours,
        _STAYS_ALIVE,
        "open active 3F1A2B4C50: Permission denied",
    ),
    _refused(
        "queue-file-locked",
        _lock,
        _STAYS_ALIVE,
        "shared lock active/3F1A2B4C50: Resource temporarily unavailable",
    ),
    _queue("queue-file-locked-shared", _lock_shared),
    _change("queue-id-of-another-queue", queue_name=b"deferred"),
    _change("queue-id-unknown", queue_id=b"0000000000"),
    _change("nexthop-differs", nexthop=b"[192.0.2.1]:24"),
    _change("encoding-7bit", encoding=b"7bit", sendopts=1),
    _change("data-size-wrong", data_size=1),
    Scenario(
        name="recipients-without-offset",
        mails=(Mail(recipients=(BOB, MBOX, NOBODY), change=_without_offset),),
    ),
)


def _corrupt(name: str, *records: bytes) -> Scenario:
    """Content that cannot be read, to a maildir and to an mbox file."""
    return Scenario(
        name=name,
        mails=(Mail(records=b"".join(records), recipients=(BOB, MBOX)), Mail()),
    )


_START = encode_record(LINE, b"Subject: broken") + encode_record(LINE, b"")
_X = encode_record(EXTRACTED)

_CORRUPT = (
    _corrupt("corrupt-no-end", _START),
    _corrupt("corrupt-ends-with-end-of-file-record", _START, encode_record(END)),
    _corrupt("corrupt-unknown-record", _START, encode_record(b"Z", b"?"), _X),
    _corrupt("corrupt-envelope-record", _START, encode_record(b"R", b"a@b"), _X),
    _corrupt("corrupt-lower-case-record", _START, encode_record(b"n", b"x"), _X),
    _corrupt("corrupt-nul-record", _START, b"\0\0", _X),
    _corrupt("corrupt-high-record", _START, b"\xff\0", _X),
    _corrupt("corrupt-length-beyond-end", _START, b"N\xff\x7f", b"short"),
    _corrupt("corrupt-length-unending", _START, b"N" + b"\xff" * 12 + b"\0", _X),
    _corrupt("corrupt-length-cut", _START, b"N\x80"),
    _corrupt("corrupt-after-piece", _START, encode_record(PART_OF_LINE, b"x"), b"Z\0"),
    _corrupt("corrupt-pointer", _START, encode_record(POINTER, b"not a number   "), _X),
    _corrupt(
        "corrupt-pointer-beyond-end", _START, encode_record(POINTER, b"%15d" % 99_999)
    ),
    _corrupt("corrupt-at-once", b"\x01"),
    _corrupt("corrupt-after-much", encode_record(LINE, b"y" * 60) * 5000, b"Z\0"),
)


SCENARIOS = (*_MALFORMED, *_DIFFERENT, *_QUEUE_FILES, *_CORRUPT)
