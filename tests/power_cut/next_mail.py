"""The first message after a power cut: mail readers find it, whatever the cut has left.

An mbox file that ends in the middle of a line is the one in which it could be lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from postvirt.mailbox.locking import Locking
from postvirt.mailbox.mbox import deliver_to_mbox
from postvirt.mailbox.message import Envelope
from postvirt.model.mailbox import Mailbox, Owner
from postvirt.model.outcome import Delivered, Outcome
from postvirt.standin.identity import recipient_owner
from tests.harness.child import Log, as_mail_system
from tests.harness.steps import Chunks, Hand
from tests.power_cut.mail import SENDER

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


def _deliver(mailbox: Mailbox, _: Log) -> Outcome | None:
    envelope = Envelope(SENDER, b"", b"next@example.com")
    return Hand().run(
        deliver_to_mbox(
            mailbox, envelope, Chunks(_CONTENT), _LOCKING, strict_ownership=True
        )
    )
