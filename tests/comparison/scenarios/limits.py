"""Limits of files, full disks and quotas, with nothing left behind."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from itertools import count

from postvirt.model.request import Recipient
from postvirt.standin.instance import Instance
from tests.comparison.scenarios.expectations import REPLY_DEFERRED, log, told
from tests.harness.failing_calls import Failing
from tests.harness.file_systems import Mount, btrfs, ext4, tmpfs
from tests.harness.scenario import BOB, CONTENT, MAILBOXES, MBOX, Mail, Scenario, to

Prepare = Callable[[Instance], None]

_BIG = b"Subject: big\n\n" + b"x" * 39_000 + b"\n"
_HUGE = b"Subject: huge\n\n" + (b"y" * 99 + b"\n") * 20_000


def _limits(name: str, mailbox_limit: str, message_limit: str) -> Scenario:
    """One message; the two limits together may be an error."""
    return Scenario(
        name=name,
        parameters={
            "virtual_mailbox_limit": mailbox_limit,
            "message_size_limit": message_limit,
        },
        mails=(Mail(recipients=(BOB, MBOX)),),
    )


_TOGETHER = (
    _limits("limits-equal", "1000", "1000"),
    _limits("limit-one-above", "1001", "1000"),
    _limits("limit-zero-and-messages-limited", "0", "1000"),
    _limits("limit-larger-than-32-bits", "9999999999", "1000"),
    _limits("limit-of-the-largest-number", "9223372036854775807", "1000"),
    _limits("limit-beyond-all-numbers", "9223372036854775808", "1000"),
    _limits("limit-and-messages-negative", "1000", "-1"),
    Scenario(
        name="limit-of-the-transport-one-below",
        parameters={"message_size_limit": "1000"},
        options=("-o", "virtual_mailbox_limit=999"),
    ),
)


# What stands around the content that is written to MBOX.
_AROUND = (
    len(b"From alice@example.org  Thu Jan  1 00:00:00 1970\n")
    + len(b"Return-Path: <alice@example.org>\n")
    + len(b"Delivered-To: mbox@example.com\n")
    + len(b"\n")
)


def _old_mbox(size_bytes: int) -> Prepare:
    def prepare(instance: Instance) -> None:
        path = instance.mail / "mbox"
        path.write_bytes(b"o" * (size_bytes - 1) + b"\n")
        path.chmod(0o600)
        instance.recipient_owner.give(path)

    return prepare


def _filled_to(name: str, difference: int) -> Scenario:
    """The mailbox comes so close to the limit; a small message and a big one."""
    old_bytes = 50_000 - _AROUND - len(CONTENT) + difference
    return Scenario(
        name=name,
        parameters={"virtual_mailbox_limit": "50000", "message_size_limit": "50000"},
        prepare=_old_mbox(old_bytes),
        mails=(
            Mail(recipients=(MBOX,)),
            Mail(recipients=(MBOX,), content=_BIG),
        ),
    )


# Twice as long when it is written as it is in the queue file.
_SENDER = b'"' * 1000 + b"@example.org"

_REACHED = (
    _filled_to("limit-reached-exactly", 0),
    _filled_to("limit-reached-with-the-last-newline", 1),
    _filled_to("limit-reached-with-the-first-byte", _AROUND + len(CONTENT)),
    Scenario(
        name="limit-reached-by-the-headers",
        parameters={"virtual_mailbox_limit": "1500", "message_size_limit": "1500"},
        mails=(Mail(sender=_SENDER, recipients=(BOB, MBOX)), Mail()),
    ),
    Scenario(
        name="limit-reached-and-soft-bounce",
        parameters={
            "virtual_mailbox_limit": "50000",
            "message_size_limit": "50000",
            "soft_bounce": "yes",
        },
        prepare=_old_mbox(49_990),
        mails=(Mail(recipients=(MBOX,)),),
    ),
)


_OLD_BYTES = 5000


def _fill(instance: Instance) -> None:
    """Two mailboxes with old mail, and then no room for anything else."""
    _old_mbox(_OLD_BYTES)(instance)
    for path in ("bob", "bob/tmp", "bob/new", "bob/cur"):
        (instance.mail / path).mkdir(mode=0o700)
        instance.recipient_owner.give(instance.mail / path)
    with (instance.mail / "filler").open("wb", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while True:
                    file.write(b"f" * size)
            except OSError:
                os.fsync(file.fileno())


def _fill_and_take_away(instance: Instance) -> None:
    """As `_fill`, and then the quota is less than what is used already."""
    _fill(instance)
    command = ("btrfs", "qgroup", "limit", "32768", instance.mail)
    subprocess.run(command, check=True)


def _full(name: str, file_system: Mount, content: bytes) -> Scenario:
    """Small, too big, small again, to a maildir and to an mbox file."""
    return Scenario(
        name=name,
        parameters={"virtual_mailbox_limit": "0", "message_size_limit": "0"},
        file_system=file_system,
        mails=(
            Mail(recipients=(BOB, MBOX), content=content),
            Mail(recipients=(BOB, MBOX)),
            Mail(recipients=(BOB, MBOX), content=content),
            Mail(recipients=(MBOX, BOB)),
        ),
    )


def _without_room(
    name: str, file_system: Mount, prepare: Prepare = _fill, **parameters: str
) -> Scenario:
    """No room from the start: mailboxes with old mail, and two that are to be made."""
    new = {"new-mbox@example.com": "new-mbox", "new-maildir@example.com": "m/"}
    return Scenario(
        name=name,
        parameters=parameters,
        mailboxes=MAILBOXES | new,
        file_system=file_system,
        prepare=prepare,
        mails=(
            Mail(recipients=(BOB, MBOX, *map(to, new)), content=_BIG),
            Mail(recipients=(BOB, MBOX, *map(to, new))),
        ),
    )


def _use_up_inodes(instance: Instance) -> None:
    """One is left, and a maildir is there: enough for a file that has two names."""
    for path in ("bob", "bob/tmp", "bob/new", "bob/cur"):
        (instance.mail / path).mkdir(mode=0o700)
        instance.recipient_owner.give(instance.mail / path)
    try:
        for number in count():
            (instance.mail / f"filler{number}").touch()
    except OSError:
        (instance.mail / "filler0").unlink()


def _few_inodes(inodes: int) -> Scenario:
    """A file system with so few of them that the next file cannot be made."""
    return Scenario(
        name=f"disk-with-{inodes}-inodes",
        file_system=tmpfs(size=1 << 20, nr_inodes=inodes),
        mails=(Mail(recipients=(MBOX,)), Mail()),
    )


ONE_INODE = Scenario(
    name="disk-with-one-inode-left",
    file_system=ext4(1 << 20),
    prepare=_use_up_inodes,
    mails=(Mail(), Mail()),
)

_KERNEL_LOCKS = {"virtual_mailbox_lock": "fcntl, flock"}

_FULL = (
    ONE_INODE,
    _full("disk-full-tmpfs", tmpfs(size=32_768), _BIG),
    _full("disk-full-ext4", ext4(1 << 20), _HUGE),
    _without_room("disk-full-from-the-start", tmpfs(size=65_536)),
    *map(_few_inodes, range(1, 9)),
    Scenario(
        name="disk-without-inodes-and-without-dot-locks",
        parameters=_KERNEL_LOCKS,
        file_system=tmpfs(size=1 << 20, nr_inodes=2),
        prepare=_old_mbox(_OLD_BYTES),
        mails=(Mail(recipients=(MBOX, to("other@example.com"))),),
        mailboxes=MAILBOXES | {"other@example.com": "other"},
    ),
)

_QUOTA = (
    Scenario(
        name="quota-reached-while-writing-to-a-maildir",
        file_system=btrfs(1 << 20),
        mails=(Mail(content=_HUGE), Mail()),
    ),
    Scenario(
        name="quota-reached-while-writing-to-an-mbox",
        file_system=btrfs(1 << 20),
        mails=(Mail(content=_HUGE, recipients=(MBOX,)),),
        differs="Failed truncation",
        expected={
            "log": (
                log("warning: truncate /ROOT/mail/mbox: Disk quota exceeded"),
                log(
                    "3F1A2B4C50: to=<mbox@example.com>, relay=virtual, delay=D, "
                    "delays=A/B/C/D, dsn=5.2.2, status=bounced (delivery failed to "
                    "mailbox /ROOT/mail/mbox: error writing message: Disk quota "
                    "exceeded)"
                ),
            )
        },
    ),
    _without_room("quota-used-up", btrfs(1 << 20)),
    _without_room("quota-exceeded", btrfs(1 << 20), _fill_and_take_away),
    _without_room(
        "quota-exceeded-and-no-dot-locks",
        btrfs(1 << 20),
        _fill_and_take_away,
        **_KERNEL_LOCKS,
    ),
    _without_room(
        "quota-exceeded-and-soft-bounce",
        btrfs(1 << 20),
        _fill_and_take_away,
        soft_bounce="yes",
    ),
)


def _failing(
    name: str, failing: Failing, content: bytes = _BIG, **parameters: str
) -> Scenario:
    """To a maildir, to an mbox file with old mail, and to a new one."""
    new = to("new-mbox@example.com")
    return Scenario(
        name=name,
        parameters=parameters,
        mailboxes=MAILBOXES | {"new-mbox@example.com": "new-mbox"},
        failing=failing,
        prepare=_old_mbox(_OLD_BYTES),
        mails=(Mail(recipients=(BOB, MBOX, new), content=content),),
    )


def _failing_and_deferred(
    name: str, failing: Failing, recipient: Recipient = BOB, failed: str = ""
) -> Scenario:
    """What virtual(8) would bounce."""
    reason = f"error writing message: {os.strerror(failing.number)}"
    failed = failed or "maildir delivery failed"
    address = recipient.address.decode()
    return Scenario(
        name=name,
        failing=failing,
        prepare=_old_mbox(_OLD_BYTES),
        mails=(Mail(recipients=(recipient,), content=_BIG),),
        differs="Failing disks",
        expected={
            "replies": (REPLY_DEFERRED,),
            "queue": ("3F1A2B4C50 -rwx------",),
            "requests": (
                told(
                    "defer",
                    address,
                    "4.3.0",
                    f"{failed}: {reason}",
                    diagnostic="input/output error",
                ),
            ),
            "log": (
                log(
                    f"3F1A2B4C50: to=<{address}>, relay=virtual, delay=D, "
                    f"delays=A/B/C/D, dsn=4.3.0, status=deferred ({failed}: {reason})"
                ),
            ),
        },
    )


_CLOSED_LATE = "Late refusals"

_FAILING = (
    _failing("write-edquot", Failing("write", errno.EDQUOT, 20_000)),
    _failing("write-edquot-at-once", Failing("write", errno.EDQUOT, 0)),
    _failing(
        "write-edquot-in-a-small-message", Failing("write", errno.EDQUOT, 5090), CONTENT
    ),
    _failing("write-enospc", Failing("write", errno.ENOSPC, 20_000)),
    _failing_and_deferred("write-eio", Failing("write", errno.EIO, 20_000)),
    _failing_and_deferred("write-enomem", Failing("write", errno.ENOMEM, 20_000)),
    _failing_and_deferred(
        "write-erofs-mbox",
        Failing("write", errno.EROFS, 20_000),
        MBOX,
        "delivery failed to mailbox /ROOT/mail/mbox",
    ),
    _failing("write-estale", Failing("write", errno.ESTALE, 20_000)),
    _failing("fsync-edquot", Failing("fsync", errno.EDQUOT)),
    _failing("fsync-enospc", Failing("fsync", errno.ENOSPC)),
    _failing("fsync-estale", Failing("fsync", errno.ESTALE)),
    _failing_and_deferred("fsync-eio", Failing("fsync", errno.EIO)),
    Scenario(name="close-edquot-maildir", failing=Failing("close", errno.EDQUOT)),
    Scenario(
        name="close-edquot-mbox",
        failing=Failing("close", errno.EDQUOT),
        prepare=_old_mbox(10),
        mails=(Mail(recipients=(MBOX,)),),
        differs=_CLOSED_LATE,
        expected={
            "mail": (
                "drwxr-xr-x 5000:5000 mail",
                "-rw------- 5000:5000 mail/mbox links=1",
                r"    b'ooooooooo\n'",
            )
        },
    ),
)

SCENARIOS = (*_TOGETHER, *_REACHED, *_FULL, *_QUOTA, *_FAILING)
