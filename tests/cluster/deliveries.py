"""Deliver numbered messages one after another, on one of the machines.

    python -m tests.cluster.deliveries NAME COUNT MAILBOX

The content of each is NAME and its number; MAILBOX ends with a slash if it is a
maildir. Says each number when the message is delivered, or what became of it;
in the end, how many milliseconds a delivery took (the median).
"""

from __future__ import annotations

import os
import statistics
import sys
import time

from postvirt.engine.engine import Engine
from postvirt.mailbox.locking import Locking
from postvirt.mailbox.maildir import deliver_to_maildir
from postvirt.mailbox.mbox import deliver_to_mbox
from postvirt.mailbox.message import Envelope
from postvirt.model.effects import Steps
from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Delivered, Outcome
from postvirt.system import log, privileges
from tests.harness.child import MAIL_OWNER, Log, recipient
from tests.harness.steps import Chunks

_ENVELOPE = Envelope(b"alice@example.org", b"", b"bob@example.com")
_LOCKING = Locking(frozenset({"fcntl", "dotlock"}), 5, 1.0, 500)


def content(name: str, number: int) -> bytes:
    """A message."""
    return b"Subject: %b %d\n\n%b\n" % (os.fsencode(name), number, b"x" * 4000)


def _delivery(path: bytes, chunks: Chunks) -> Steps[Outcome]:
    mailbox = Mailbox(path, recipient())
    if path.endswith(b"/"):
        host = os.fsencode(os.uname().nodename)
        return deliver_to_maildir(mailbox, _ENVELOPE, chunks, host)
    return deliver_to_mbox(mailbox, _ENVELOPE, chunks, _LOCKING, strict_ownership=True)


def main(name: str, count: str, mailbox: str) -> None:
    """Deliver them."""
    log.start(Log())
    privileges.settle(MAIL_OWNER)
    engine = Engine(1.0)
    took = []
    for number in range(int(count)):
        began = time.monotonic()
        steps = _delivery(os.fsencode(mailbox), Chunks(content(name, number)))
        outcome = engine.run(steps)
        took.append(time.monotonic() - began)
        is_delivered = isinstance(outcome, Delivered)
        print(number if is_delivered else outcome, flush=True)
    print(f"{statistics.median(took) * 1000:.1f} ms", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
