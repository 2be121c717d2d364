"""Serve one delivery request: deliver to each recipient, report it, return a status.

Parity: local_deliver() and local_service() in src/virtual/virtual.c.
Differs: Recipients side by side. The recipients of one message are delivered to side by
    side, those of mbox files last. Warnings about them come before their status lines,
    which may come in another order, and a locked mailbox holds up only its own mail.
    virtual(8) delivers to one recipient after the other.
Raises: nothing. An unforeseen exception defers the recipient with 4.3.0, so that a bug
in this program neither loses nor bounces mail.
"""

from __future__ import annotations

from typing import Final

from postvirt.config.lists import words
from postvirt.config.parameters import Settings
from postvirt.delivery.recipient import Deliverer
from postvirt.errors import QueueFileError, QueueFileReadError
from postvirt.mailbox.message import Content
from postvirt.model.effects import Pause, Steps, Together
from postvirt.model.outcome import CorruptQueueFile, Deferred, Dsn, Outcome
from postvirt.model.request import (
    PROBE_FLAGS,
    DeliveryRequest,
    Recipient,
    RequestFlag,
)
from postvirt.model.text import text, wire
from postvirt.queuefile.content import QueueFileContent
from postvirt.queuefile.open import QueueFile, open_queue_file
from postvirt.report.reporter import Reporter
from postvirt.system import log

DONE: Final = 0
TRY_AGAIN: Final = -1

# As plain numbers, see report.reporter.
_SUCCESS: Final = int(RequestFlag.SUCCESS)
_PROBE_FLAGS: Final = int(PROBE_FLAGS)

# Other clients have their turn after so many reports, which take some milliseconds.
REPORTS_AT_ONCE: Final = 200

_NO_MEMORY: Final = Dsn("4.3.0", "mail system is out of memory")
_SOFTWARE_ERROR: Final = Dsn("4.3.0", "mail system software error")


class Agent:
    """A delivery agent that serves any number of requests."""

    __slots__ = ("hash_depth", "hashed_queues", "postman", "reporter")

    def __init__(
        self, settings: Settings, postman: Deliverer, reporter: Reporter
    ) -> None:
        self.postman = postman
        self.reporter = reporter
        # Where the settings say that queue files are.
        hashed = words(settings.hash_queue_names)
        self.hashed_queues = tuple(wire(name).lower() for name in hashed)
        self.hash_depth = settings.hash_queue_depth

    def serve(self, request: DeliveryRequest) -> Steps[int]:
        """Deliver to all recipients: DONE, or TRY_AGAIN if one must be tried again."""
        try:
            return (yield from self._serve(request))
        except Exception as error:  # other clients must still be served
            _log_bug(request, "", error)
            return TRY_AGAIN

    def _serve(self, request: DeliveryRequest) -> Steps[int]:
        if not request.recipients:
            log.warning(
                f"{text(request.queue_id)}: no recipients in delivery request for "
                f"destination {text(request.nexthop)}"
            )
            return TRY_AGAIN
        queue_file = open_queue_file(request, self.hashed_queues, self.hash_depth)
        if queue_file is None:
            return TRY_AGAIN
        content = QueueFileContent(
            queue_file.fd, request.data_offset, queue_file.size_bytes
        )
        try:
            outcomes = yield from self._deliver_all(request, queue_file, content)
            status = DONE
            for index, recipient in enumerate(request.recipients):
                if (index + 1) % REPORTS_AT_ONCE == 0:
                    yield Pause(0.0)
                outcome = outcomes[index]
                if not (
                    yield from self._finish(request, recipient, queue_file, outcome)
                ):
                    status = TRY_AGAIN
            return status
        finally:
            queue_file.close()

    def _deliver_all(
        self, request: DeliveryRequest, queue_file: QueueFile, content: Content
    ) -> Steps[list[Outcome]]:
        """Deliver to the recipients concurrently; their outcomes in their order."""
        branches = [
            self._deliver(request, recipient, queue_file, content)
            for recipient in request.recipients
        ]
        if len(branches) == 1:
            return [(yield from branches[0])]
        outcomes: list[Outcome] = yield Together(branches)
        return outcomes

    def _finish(
        self,
        request: DeliveryRequest,
        recipient: Recipient,
        queue_file: QueueFile,
        outcome: Outcome,
    ) -> Steps[bool]:
        """Report; whether the recipient is done, and crossed off if requested."""
        try:
            is_done = yield from self.reporter.report(request, recipient, outcome)
        except Exception as error:
            _log_bug(request, f"to=<{text(recipient.address)}>: ", error)
            return False
        if is_done and request.flags & _SUCCESS:
            return queue_file.cross_off(recipient.offset)
        return is_done

    def _deliver(
        self,
        request: DeliveryRequest,
        recipient: Recipient,
        queue_file: QueueFile,
        content: Content,
    ) -> Steps[Outcome]:
        try:
            return (
                yield from self.postman.deliver(
                    request.sender,
                    recipient,
                    content,
                    probe_only=bool(request.flags & _PROBE_FLAGS),
                )
            )
        except QueueFileReadError as unread:
            log.warning(f"read {text(queue_file.path)}: {unread.detail}")
            return Deferred(Dsn("4.3.0", f"queue file read error: {unread.detail}"))
        except QueueFileError as damaged:
            path = text(queue_file.path)
            if damaged.detail:
                log.warning(f"{path}: {damaged.detail}")
            log.warning(f"bad record type: {damaged.record_type} in message content")
            queue_file.mark_corrupt()
            return CorruptQueueFile()
        except Exception as error:
            _log_bug(request, f"to=<{text(recipient.address)}>: ", error)
            is_memory = isinstance(error, MemoryError)
            return Deferred(_NO_MEMORY if is_memory else _SOFTWARE_ERROR)


def _log_bug(request: DeliveryRequest, to: str, error: Exception) -> None:
    """Log one line that says what happened and where; the mail stays in the queue."""
    begin = f"{text(request.queue_id)}: {to}"
    if isinstance(error, MemoryError):
        log.error(f"{begin}out of memory; the mail stays queued")
        return
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = ""
    if place is not None:
        code = place.tb_frame.f_code
        where = f" at {code.co_filename}:{place.tb_lineno}"
    log.error(
        f"{begin}unexpected {type(error).__name__}: {error}{where}; "
        "the mail stays queued, please report"
    )
