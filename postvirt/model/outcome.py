"""What became of one recipient.

Where it has a `mailbox`, that is where the mail went or was to go. It is filled in only
when somebody observes deliveries (model.report), and is no part of what became of it.

Parity: src/global/dsn.h. Postfix keeps a status and a reason that whoever knows fills
in; the whole result is one value, made once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from postvirt.model.mailbox import Mailbox


@dataclass(frozen=True, slots=True)
class Dsn:
    """An enhanced status code (RFC 3463) and its reason, as text for a person.

    action           what a delivery status notification calls it
    diagnostic       what the operating system said, "" when that is no matter; its kind
                     is "x-unix"
    """

    status: str
    reason: str
    action: str = ""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The message is in the mailbox, durably; or, for a probe, it would be."""

    dsn: Dsn
    mailbox: Mailbox | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Deferred:
    """Try again later."""

    dsn: Dsn
    mailbox: Mailbox | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Bounced:
    """Give up and tell the sender."""

    dsn: Dsn
    mailbox: Mailbox | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CorruptQueueFile:
    """The queue file is marked as corrupt; nobody is told, the queue manager acts."""


Outcome = Delivered | Deferred | Bounced | CorruptQueueFile


def undelivered(dsn: Dsn) -> Deferred | Bounced:
    """The failure that the first digit of the status code stands for."""
    return Deferred(dsn) if dsn.status.startswith("4") else Bounced(dsn)
