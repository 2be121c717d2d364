"""What has been reported about a recipient, for whoever keeps count of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Dsn
from postvirt.model.request import DeliveryRequest, Recipient, Timestamp


@dataclass(frozen=True, slots=True)
class Report:
    """One recipient's line of the log, before it is a line.

    relay     the transport's name in master.cf
    now       when the outcome was reported
    word      sent, bounced, deferred and the like; "corrupt" is not in the log
    mailbox   where it went, or was to go, if it was found
    """

    request: DeliveryRequest
    recipient: Recipient
    relay: str
    now: Timestamp
    dsn: Dsn
    word: str
    mailbox: Mailbox | None


class Observer(Protocol):
    """Whoever wants to know; must not raise anything, and not take long."""

    def reported(self, report: Report) -> None:
        """A recipient's outcome was reported."""
