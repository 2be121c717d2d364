"""The first message after a power cut: mail readers find it, whatever the cut has left.

An mbox file that ends in the middle of a line is the one in which it could be lost. And
what maildirsize says is right afterwards.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from postvirt.mailbox.locking import Locking
from postvirt.mailbox.maildir import deliver_to_maildir
from postvirt.mailbox.mbox import deliver_to_mbox
from postvirt.mailbox.message import Envelope
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import Delivered, Result
from postvirt.model.quota import Limit, QuotaRules
from postvirt.standin.identity import recipient_owner
from tests.harness.child import Log, as_mail_system
from tests.harness.maildir_usage import counted, recorded
from tests.harness.steps import Chunks, Hand
from tests.power_cut.mail import SENDER

_ENVELOPE = Envelope(SENDER, b"", b"next@example.com")
_CONTENT = b"Subject: next\n\nText.\n"
_ENTRY = re.compile(
    rb"^From alice@example\.org  .{24}\nReturn-Path: <alice@example\.org>\n"
    rb"Delivered-To: next@example\.com\n%b\n\Z" % _CONTENT,
    re.MULTILINE,
)
_LOCKING = Locking(frozenset({"fcntl"}), attempts=1, delay_seconds=1, stale_seconds=500)


def lost(folder: Path) -> Iterator[str]:
    """The mbox files in which the next message is lost; each gets one if it is torn."""
    identity = recipient_owner()
    owner = Owner(identity.uid, identity.gid)
    for path in sorted(folder.glob("mbox*")):
        content = path.read_bytes()
        if path.suffix == ".lock" or not content or content.endswith(b"\n"):
            continue
        outcome = as_mail_system(partial(_deliver, Mailbox(bytes(path), owner)))
        if not isinstance(outcome, Delivered):
            yield f"{path.name} is torn and receives no mail: {outcome}"
        elif not _ENTRY.search(path.read_bytes()):
            yield f"{path.name} is torn, and the next message is lost in it"


def miscounted(folder: Path) -> Iterator[str]:
    """The maildirs whose size is not known after the next message.

    Also if what was appended to maildirsize last was lost.
    """
    identity = recipient_owner()
    owner = Owner(identity.uid, identity.gid)
    for size_file in sorted(folder.glob("maildir*/maildirsize")):
        path = size_file.parent
        mailbox = Mailbox(bytes(path) + b"/", owner, Limit(10**9, 0))
        for _ in range(2):
            os.utime(size_file, (0, 0))  # the machine has been started since
            outcome = as_mail_system(partial(_deliver_to_maildir, mailbox))
            if not isinstance(outcome, Delivered):
                yield f"{path.name} receives no mail: {outcome}"
            elif (size := recorded(path)) != (count := counted(path)):
                yield f"{path.name} has {count}, and maildirsize says {size}"
            limit, counted_line, *_ = size_file.read_bytes().splitlines(keepends=True)
            size_file.write_bytes(limit + counted_line)


def _deliver(mailbox: Mailbox, _: Log) -> Result | None:
    return Hand().run(
        deliver_to_mbox(
            mailbox, _ENVELOPE, Chunks(_CONTENT), _LOCKING, strict_ownership=True
        )
    )


def _deliver_to_maildir(mailbox: Mailbox, _: Log) -> Result | None:
    return Hand().run(
        deliver_to_maildir(mailbox, _ENVELOPE, Chunks(_CONTENT), b"host", QuotaRules())
    )
