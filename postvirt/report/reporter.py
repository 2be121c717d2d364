"""Report one recipient's outcome to Postfix, and say whether the recipient is done.

sent, bounced and deferred each have their service; probes go to the verify or trace
service instead. A recipient counts as done only when everybody who had to be told was
told: a bounce that the bounce service did not take becomes a deferral, and so does a
delivery whose trace record was lost.

Parity: src/global/sent.c, bounce.c, defer.c, trace.c, verify.c, flush_clnt.c.
Differs: Silent verify service. A verify service that does not answer is asked three
    times, then the probe waits in the queue; virtual(8) asks without end, delivers
    nothing meanwhile, and may be killed.
Differs: Filters and delivered mail. A delivery status filter cannot bounce mail that
    was delivered: when only its trace record was lost, the mail is deferred; virtual(8)
    lets the filter turn that into a bounce.
Differs: New connection for each probe. Each question to the verify service uses a
    connection of its own; virtual(8) keeps one, and warns when it was closed meanwhile.
Differs: List of fast flush. A warning about the default of relay_domains, which
    virtual(8) adds when it tells the flush service and which concerns local domains
    only, is not logged.
Raises: nothing. A service that fails is logged and leaves the recipient in the queue.
"""

from __future__ import annotations

import time
from dataclasses import replace

from postvirt.codec import announcement
from postvirt.codec.notice import (
    encode_append,
    encode_flush_add,
    encode_verify_update,
)
from postvirt.config.parameters import Settings
from postvirt.errors import TableError
from postvirt.model.effects import Exchange, Pause, Steps
from postvirt.model.outcome import (
    Bounced,
    CorruptQueueFile,
    Deferred,
    Delivered,
    Dsn,
    Outcome,
)
from postvirt.model.report import Observer, Report
from postvirt.model.request import (
    NOTIFY_DELAY,
    NOTIFY_SUCCESS,
    TRACE_FLAGS,
    DeliveryRequest,
    Recipient,
    RequestFlag,
    Timestamp,
)
from postvirt.model.text import text
from postvirt.report.log_line import LineFormat, recipient_line
from postvirt.report.status_filter import filtered
from postvirt.system import log
from postvirt.tables.maps import Maps
from postvirt.tables.match_list import DomainList

# recipient_status for the verify service.
_VERIFY_OK = 0
_VERIFY_DEFER = 1
_VERIFY_BOUNCE = 2

# Time enough for a service that is being started again.
_VERIFY_ATTEMPTS = 3
_VERIFY_PAUSE_SECONDS = 1.0

# Nobody is told: the queue manager sees the mark on the queue file.
_CORRUPT = Dsn("", "the queue file is corrupt")

# What the flush service answers when it is content.
_FLUSH_OK = 0
_FLUSH_DENY = 4


# As plain numbers: Python makes a new flag of what two flags have in common, and that
# costs more than all else that is done about them.
_MTA_VRFY = int(RequestFlag.MTA_VRFY)
_USR_VRFY = int(RequestFlag.USR_VRFY)
_RECORD = int(RequestFlag.RECORD)
_REC_DLY_SENT = int(RequestFlag.REC_DLY_SENT)
_TRACE_FLAGS = int(TRACE_FLAGS)


class Reporter:
    """Reports in the name of one transport; relay is its name in master.cf."""

    def __init__(
        self,
        settings: Settings,
        relay: str,
        status_filter: Maps | None,
        flush_domains: DomainList,
        observer: Observer | None = None,
    ) -> None:
        self.settings = settings
        self.relay = relay
        self.status_filter = status_filter
        self.flush_domains = flush_domains
        self.observer = observer
        self.style = LineFormat.of(settings)

    def report(
        self, request: DeliveryRequest, recipient: Recipient, outcome: Outcome
    ) -> Steps[bool]:
        """Tell whoever has to know; True when the recipient can be crossed off."""
        notice = _Notice(self, request, recipient, outcome)
        match outcome:
            case Delivered(dsn):
                return (yield from notice.sent(filtered(self.status_filter, dsn)))
            case Deferred(dsn) | Bounced(dsn):
                dsn = filtered(self.status_filter, dsn)
                if dsn.status.startswith("5"):
                    return (yield from notice.bounced(dsn))
                return (yield from notice.deferred(dsn))
            case CorruptQueueFile():
                notice.corrupt()
                return False


class _Notice:
    """Everything that has to be said about one recipient."""

    def __init__(
        self,
        reporter: Reporter,
        request: DeliveryRequest,
        recipient: Recipient,
        outcome: Outcome,
    ) -> None:
        self._settings = reporter.settings
        self._relay = reporter.relay
        self._status_filter = reporter.status_filter
        self._flush_domains = reporter.flush_domains
        self._style = reporter.style
        self._observer = reporter.observer
        self._outcome = outcome
        self._request = request
        self._recipient = recipient
        self._flags = int(request.flags) & _TRACE_FLAGS
        self._id = text(request.queue_id)

    def sent(self, dsn: Dsn) -> Steps[bool]:
        if self._flags & _MTA_VRFY:
            return (yield from self._verify(dsn, "deliverable", _VERIFY_OK))
        if self._flags & _USR_VRFY:
            return (yield from self._trace(replace(dsn, action="deliverable")))
        if (yield from self._trace_delivery(dsn)):
            self._log(dsn, "sent")
            return True
        reason = f"{self._id}: {self._settings.trace_service_name} service failed"
        lost = replace(dsn, status="4.3.0", reason=reason)
        told = filtered(self._status_filter, lost)
        # A filter must not bounce mail that was delivered, though Postfix lets it.
        return (yield from self.deferred(told if told.status[0] == "4" else lost))

    def bounced(self, dsn: Dsn) -> Steps[bool]:
        if self._flags & _MTA_VRFY:
            return (yield from self._verify(dsn, "undeliverable", _VERIFY_BOUNCE))
        if self._flags & _USR_VRFY:
            return (yield from self._trace(replace(dsn, action="undeliverable")))
        names = self._settings
        if names.soft_bounce:
            service, word = names.defer_service_name, "SOFTBOUNCE"
            dsn = replace(dsn, status="4" + dsn.status[1:], action="delayed")
        else:
            service, word = names.bounce_service_name, "bounced"
            dsn = replace(dsn, action="failed")
        if (yield from self._append(service, dsn)) and (
            not self._flags & _RECORD or (yield from self._trace(dsn))
        ):
            self._log(dsn, word)
            return not names.soft_bounce
        reason = (
            f"{names.bounce_service_name} or {names.trace_service_name} service failure"
        )
        dsn = replace(dsn, status="4.3.0", reason=reason)
        return (yield from self.deferred(dsn))

    def deferred(self, dsn: Dsn) -> Steps[bool]:
        if self._flags & _MTA_VRFY:
            return (yield from self._verify(dsn, "undeliverable", _VERIFY_DEFER))
        if self._flags & _USR_VRFY:
            return (yield from self._trace(replace(dsn, action="undeliverable")))
        dsn = replace(dsn, action="delayed")
        service = self._settings.defer_service_name
        if not (yield from self._append(service, dsn)):
            log.warning(f"{self._id}: {service} service failure")
        self._log(dsn, "deferred")
        if self._flags & _RECORD and not (yield from self._trace(dsn)):
            service = self._settings.trace_service_name
            log.warning(f"{self._id}: {service} service failure")
        yield from self._flush_hint()
        return False

    def corrupt(self) -> None:
        if self._observer is not None:
            self._tell(self._observer, _now(), _CORRUPT, "corrupt")

    def _trace_delivery(self, dsn: Dsn) -> Steps[bool]:
        """Trace a delivery as often as the sender asked for it."""
        notify = self._recipient.notify_flags
        wants_record = self._flags & _RECORD or (
            self._flags & _REC_DLY_SENT and (notify == 0 or notify & NOTIFY_DELAY)
        )
        times = bool(wants_record) + bool(notify & NOTIFY_SUCCESS)
        if times and not dsn.action:
            dsn = replace(dsn, action="delivered")
        for _ in range(times):
            if not (yield from self._trace(dsn)):
                return False
        return True

    def _trace(self, dsn: Dsn) -> Steps[bool]:
        service = self._settings.trace_service_name
        told = replace(dsn, reason=f"delivery via {self._relay}: {dsn.reason}")
        if not (yield from self._append(service, told)):
            log.warning(f"{self._id}: {service} service failure")
            return False
        if self._flags & _USR_VRFY:
            self._log(dsn, dsn.action)
        return True

    def _verify(self, dsn: Dsn, word: str, status: int) -> Steps[bool]:
        recipient = self._recipient
        if status == _VERIFY_OK or self._settings.address_verify_negative_cache:
            addresses = [recipient.address]
            original = recipient.original_recipient
            if original and original != recipient.address:
                addresses.insert(0, original)
            service = self._settings.address_verify_service_name
            for address in addresses:
                update = encode_verify_update(address, status, dsn.reason)
                if (yield from self._update(service, update)) != 0:
                    log.warning(f"{self._id}: {service} service failure")
                    return False
        else:
            word = "undeliverable-but-not-cached"
        self._log(dsn, word)
        return True

    def _update(self, service: str, update: bytes) -> Steps[int | None]:
        """The answer of the verify service; None when it never answers."""
        exchange = Exchange(
            f"private/{service}", announcement.ADDRESS_VERIFICATION, update
        )
        answer: int | None = yield exchange
        for _ in range(_VERIFY_ATTEMPTS - 1):
            if answer is not None:
                break
            yield Pause(_VERIFY_PAUSE_SECONDS)
            answer = yield exchange
        return answer

    def _append(self, service: str, dsn: Dsn) -> Steps[bool]:
        request = encode_append(
            self._flags, self._request.queue_id, self._recipient, dsn
        )
        protocol = announcement.DELIVERY_STATUS
        answer: int | None = yield Exchange(f"private/{service}", protocol, request)
        return answer == 0

    def _flush_hint(self) -> Steps[None]:
        domain = self._recipient.address.rpartition(b"@")[2]
        if b"@" not in self._recipient.address or not domain:
            return
        service = self._settings.flush_service_name
        try:
            if not self._flush_domains.matches(domain):
                return
        except TableError:  # logged; it costs flush(8) a hint and nothing else
            log.warning(f"{self._id}: {service} service failure")
            return
        request = encode_flush_add(domain, self._request.queue_id)
        answer = yield Exchange(f"public/{service}", announcement.QUEUE_FLUSH, request)
        if answer not in (_FLUSH_OK, _FLUSH_DENY):
            log.warning(f"{self._id}: {service} service failure")

    def _log(self, dsn: Dsn, word: str) -> None:
        now = _now()
        log.info(
            recipient_line(
                self._request.queue_id,
                self._recipient,
                self._relay,
                self._request.stats,
                now,
                dsn,
                word,
                self._style,
            )
        )
        if self._observer is not None:
            self._tell(self._observer, now, dsn, word)

    def _tell(self, observer: Observer, now: Timestamp, dsn: Dsn, word: str) -> None:
        outcome = self._outcome
        mailbox = None if isinstance(outcome, CorruptQueueFile) else outcome.mailbox
        report = Report(
            self._request, self._recipient, self._relay, now, dsn, word, mailbox
        )
        try:
            observer.reported(report)
        except Exception as error:  # what was reported has been done
            log.error(
                f"{self._id}: unexpected {type(error).__name__}: {error}; the outcome "
                "was reported all the same, please report"
            )


def _now() -> Timestamp:
    return Timestamp(*divmod(time.time_ns() // 1000, 1_000_000))
