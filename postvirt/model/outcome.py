"""The outcome of a delivery to one recipient.

`mailbox` is where the mail went or was to go, None if that is not known; `filling` is
what it has made of a mailbox with a limit. They are for observers (model.report) and do
not count when outcomes are compared.

Parity: src/global/dsn.h, as one value: Postfix fills in status and reason one after the
other.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from postvirt.model.mailbox import Mailbox
from postvirt.model.quota import Filling


class Dsn(NamedTuple):
    """An enhanced status code (RFC 3463) and its reason, as text for a person.

    action           the Action field of a delivery status notification
    diagnostic       the operating system's error message for the notification (its type
                     is "x-unix"), "" for none
    """

    status: str
    reason: str
    action: str = ""
    diagnostic: str = ""

    def with_action(self, action: str) -> Dsn:
        """The same, but for the action."""
        # As _replace does it, but in compiled code.
        return tuple.__new__(Dsn, (self.status, self.reason, action, self.diagnostic))


class _Attempt:
    """What came of an attempt to deliver."""

    __slots__ = ("dsn", "filling", "mailbox")

    def __init__(
        self,
        dsn: Dsn,
        mailbox: Mailbox | None = None,
        filling: Filling | None = None,
    ) -> None:
        self.dsn: Final = dsn
        self.mailbox: Final = mailbox
        self.filling: Final = filling

    def __eq__(self, other: object) -> bool:
        return (
            type(self) is type(other)
            and isinstance(other, _Attempt)
            and self.dsn == other.dsn
        )

    def __hash__(self) -> int:
        return hash(self.dsn)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.dsn!r}, {self.mailbox!r})"


class Delivered(_Attempt):
    """The message is in the mailbox, durably; or, for a probe, it would be."""

    __slots__ = ()


class Deferred(_Attempt):
    """The mail stays in the queue and is tried again later."""

    __slots__ = ()


class Bounced(_Attempt):
    """The mail is returned to the sender."""

    __slots__ = ()


class CorruptQueueFile:
    """The queue file is marked as corrupt; the queue manager does the rest."""

    __slots__ = ()


# What comes of an attempt to deliver.
Result = Delivered | Deferred | Bounced
Outcome = Result | CorruptQueueFile


def undelivered(dsn: Dsn) -> Deferred | Bounced:
    """The failure that the first digit of the status code means."""
    return Deferred(dsn) if dsn.status.startswith("4") else Bounced(dsn)
