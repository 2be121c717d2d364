"""What is reported about a recipient: for the log, for counters and other observers."""

from __future__ import annotations

from typing import Final, Protocol

from postvirt.model.mailbox import Mailbox
from postvirt.model.outcome import Dsn
from postvirt.model.quota import Filling
from postvirt.model.request import DeliveryRequest, Recipient


class Report:
    """What one recipient's line in the log says.

    relay     the transport's name in master.cf
    now       when the outcome was reported, in microseconds since 1970
    word      sent, bounced, deferred and the like; "corrupt" is for observers only
    mailbox   where the mail went or was to go, if that is known
    filling   what it has made of that mailbox, if this has a limit
    """

    __slots__ = (
        "dsn",
        "filling",
        "mailbox",
        "now",
        "recipient",
        "relay",
        "request",
        "word",
    )

    def __init__(
        self,
        request: DeliveryRequest,
        recipient: Recipient,
        relay: str,
        now: int,
        dsn: Dsn,
        word: str,
        mailbox: Mailbox | None,
        filling: Filling | None = None,
    ) -> None:
        self.request: Final = request
        self.recipient: Final = recipient
        self.relay: Final = relay
        self.now: Final = now
        self.dsn: Final = dsn
        self.word: Final = word
        self.mailbox: Final = mailbox
        self.filling: Final = filling


class Observer(Protocol):
    """Is told each outcome; must be quick and must not raise anything."""

    def reported(self, report: Report) -> None:
        """A recipient's outcome was reported."""
