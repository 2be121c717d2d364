"""The outcome of a delivery to one recipient.

`mailbox` is where the mail went or was to go, None if that is not known. It is for
observers (model.report) and does not count when outcomes are compared.

Parity: src/global/dsn.h, as one value: Postfix fills in status and reason one after the
other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from postvirt.model.mailbox import Mailbox


@dataclass(frozen=True, slots=True)
class Dsn:
    """An enhanced status code (RFC 3463) and its reason, as text for a person.

    action           the Action field of a delivery status notification
    diagnostic       the operating system's error message for the notification (its type
                     is "x-unix"), "" for none
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
    """The mail stays in the queue and is tried again later."""

    dsn: Dsn
    mailbox: Mailbox | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Bounced:
    """The mail is returned to the sender."""

    dsn: Dsn
    mailbox: Mailbox | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CorruptQueueFile:
    """The queue file is marked as corrupt; the queue manager does the rest."""


# What comes of an attempt to deliver.
Result = Delivered | Deferred | Bounced
Outcome = Result | CorruptQueueFile


def undelivered(dsn: Dsn) -> Deferred | Bounced:
    """The failure that the first digit of the status code means."""
    return Deferred(dsn) if dsn.status.startswith("4") else Bounced(dsn)
