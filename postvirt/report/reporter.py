"""Report one recipient's outcome to Postfix, and say whether the recipient is done.

Bounces and deferrals go to the service of that name, deliveries to the trace service if
the sender asked for that, probes to the verify or trace service. A recipient is done
only when every one of these services has accepted its report: if the bounce service
fails, the mail is deferred instead, and so it is when the trace record of a delivery is
lost.

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

from collections.abc import Sequence
from typing import Final

from postvirt.codec import announcement
from postvirt.codec.notice import (
    encode_append,
    encode_flush_add,
    encode_verify_update,
)
from postvirt.config.parameters import Settings
from postvirt.errors import TableError
from postvirt.model.effects import Exchange, Pause, Steps
from postvirt.model.outcome import CorruptQueueFile, Delivered, Dsn, Outcome, Result
from postvirt.model.report import Observer, Report
from postvirt.model.request import (
    NOTIFY_DELAY,
    NOTIFY_SUCCESS,
    TRACE_FLAGS,
    DeliveryRequest,
    Recipient,
    RequestFlag,
)
from postvirt.model.text import text
from postvirt.report.log_line import LineFormat, recipient_line
from postvirt.report.status_filter import filtered
from postvirt.system import log
from postvirt.system.clock import now
from postvirt.tables.maps import Maps
from postvirt.tables.match_list import DomainList

# recipient_status for the verify service.
_VERIFY_OK: Final = 0
_VERIFY_DEFER: Final = 1
_VERIFY_BOUNCE: Final = 2

# Long enough for a service that is being restarted.
_VERIFY_ATTEMPTS: Final = 3
_VERIFY_PAUSE_SECONDS: Final = 1.0

# For observers only: the queue manager sees the mark on the queue file.
_CORRUPT: Final = Dsn("", "the queue file is corrupt")

# The flush service's answers that are no failure.
_FLUSH_OK: Final = 0
_FLUSH_DENY: Final = 4


# As plain numbers, because `&` of two flags creates a new flag, which takes longer than
# everything else that is done with them.
_MTA_VRFY: Final = int(RequestFlag.MTA_VRFY)
_USR_VRFY: Final = int(RequestFlag.USR_VRFY)
_RECORD: Final = int(RequestFlag.RECORD)
_REC_DLY_SENT: Final = int(RequestFlag.REC_DLY_SENT)
_TRACE_FLAGS: Final = int(TRACE_FLAGS)


class Reporter:
    """Reports outcomes for one transport; relay is its name in master.cf."""

    def __init__(
        self,
        settings: Settings,
        relay: str,
        status_filter: Maps | None,
        flush_domains: DomainList,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.settings = settings
        self.relay = relay
        self.status_filter = status_filter
        self.flush_domains = flush_domains
        self.observers = observers
        self.style = LineFormat.of(settings)

    def report(
        self, request: DeliveryRequest, recipient: Recipient, outcome: Outcome
    ) -> Steps[bool]:
        """Report the outcome; True when the recipient can be crossed off."""
        if isinstance(outcome, CorruptQueueFile):
            _Notice(self, request, recipient, None).corrupt()
            return False
        notice = _Notice(self, request, recipient, outcome)
        dsn = filtered(self.status_filter, outcome.dsn)
        if isinstance(outcome, Delivered):
            return (yield from notice.sent(dsn))
        if dsn.status.startswith("5"):
            return (yield from notice.bounced(dsn))
        return (yield from notice.deferred(dsn))


class _Notice:
    """Everything that has to be reported about one recipient."""

    def __init__(
        self,
        reporter: Reporter,
        request: DeliveryRequest,
        recipient: Recipient,
        outcome: Result | None,
    ) -> None:
        self._reporter = reporter
        self._settings = reporter.settings
        self._request = request
        self._recipient = recipient
        self._outcome = outcome
        self._flags = request.flags & _TRACE_FLAGS
        self._id = text(request.queue_id)

    def sent(self, dsn: Dsn) -> Steps[bool]:
        if self._flags & _MTA_VRFY:
            return (yield from self._verify(dsn, "deliverable", _VERIFY_OK))
        if self._flags & _USR_VRFY:
            return (yield from self._trace(dsn.with_action("deliverable")))
        if (yield from self._trace_delivery(dsn)):
            self._log(dsn, "sent")
            return True
        reason = f"{self._id}: {self._settings.trace_service_name} service failed"
        not_traced = dsn._replace(status="4.3.0", reason=reason)
        dsn = filtered(self._reporter.status_filter, not_traced)
        if not dsn.status.startswith("4"):
            # A filter must not bounce mail that was delivered, though Postfix lets it.
            dsn = not_traced
        return (yield from self.deferred(dsn))

    def bounced(self, dsn: Dsn) -> Steps[bool]:
        if self._flags & _MTA_VRFY:
            return (yield from self._verify(dsn, "undeliverable", _VERIFY_BOUNCE))
        if self._flags & _USR_VRFY:
            return (yield from self._trace(dsn.with_action("undeliverable")))
        settings = self._settings
        if settings.soft_bounce:
            service, status_word = settings.defer_service_name, "SOFTBOUNCE"
            dsn = dsn._replace(status="4" + dsn.status[1:], action="delayed")
        else:
            service, status_word = settings.bounce_service_name, "bounced"
            dsn = dsn.with_action("failed")
        if (yield from self._append(service, dsn)) and (
            not self._flags & _RECORD or (yield from self._trace(dsn))
        ):
            self._log(dsn, status_word)
            return not settings.soft_bounce
        services = f"{settings.bounce_service_name} or {settings.trace_service_name}"
        dsn = dsn._replace(status="4.3.0", reason=f"{services} service failure")
        return (yield from self.deferred(dsn))

    def deferred(self, dsn: Dsn) -> Steps[bool]:
        if self._flags & _MTA_VRFY:
            return (yield from self._verify(dsn, "undeliverable", _VERIFY_DEFER))
        if self._flags & _USR_VRFY:
            return (yield from self._trace(dsn.with_action("undeliverable")))
        dsn = dsn.with_action("delayed")
        service = self._settings.defer_service_name
        if not (yield from self._append(service, dsn)):
            self._warn_of(service)
        self._log(dsn, "deferred")
        if self._flags & _RECORD and not (yield from self._trace(dsn)):
            self._warn_of(self._settings.trace_service_name)
        yield from self._flush_hint()
        return False

    def corrupt(self) -> None:
        self._observe(self._report(_CORRUPT, "corrupt"))

    def _trace_delivery(self, dsn: Dsn) -> Steps[bool]:
        """Trace a delivery as often as the sender asked for it."""
        notify = self._recipient.notify_flags
        wants_record = self._flags & _RECORD or (
            self._flags & _REC_DLY_SENT and (notify == 0 or notify & NOTIFY_DELAY)
        )
        times = bool(wants_record) + bool(notify & NOTIFY_SUCCESS)
        if times and not dsn.action:
            dsn = dsn.with_action("delivered")
        for _ in range(times):
            if not (yield from self._trace(dsn)):
                return False
        return True

    def _trace(self, dsn: Dsn) -> Steps[bool]:
        service = self._settings.trace_service_name
        reason = f"delivery via {self._reporter.relay}: {dsn.reason}"
        if not (yield from self._append(service, dsn._replace(reason=reason))):
            self._warn_of(service)
            return False
        if self._flags & _USR_VRFY:
            self._log(dsn, dsn.action)
        return True

    def _verify(self, dsn: Dsn, status_word: str, result: int) -> Steps[bool]:
        recipient = self._recipient
        if result == _VERIFY_OK or self._settings.address_verify_negative_cache:
            addresses = [recipient.address]
            original = recipient.original_recipient
            if original and original != recipient.address:
                addresses.insert(0, original)
            service = self._settings.address_verify_service_name
            for address in addresses:
                update = encode_verify_update(address, result, dsn.reason)
                if (yield from self._update(service, update)) != 0:
                    self._warn_of(service)
                    return False
        else:
            status_word = "undeliverable-but-not-cached"
        self._log(dsn, status_word)
        return True

    def _update(self, service: str, update: bytes) -> Steps[int | None]:
        """The answer of the verify service; None when it does not answer."""
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
        """Whether the bounce, defer or trace service has recorded this status."""
        request = encode_append(
            self._flags, self._request.queue_id, self._recipient, dsn
        )
        protocol = announcement.DELIVERY_STATUS
        answer: int | None = yield Exchange(f"private/{service}", protocol, request)
        return answer == 0

    def _flush_hint(self) -> Steps[None]:
        """Tell the flush service that there is deferred mail for the domain."""
        domain = self._recipient.address.rpartition(b"@")[2]
        if b"@" not in self._recipient.address or not domain:
            return
        service = self._settings.flush_service_name
        try:
            if not self._reporter.flush_domains.matches(domain):
                return
        except TableError:  # logged; only flush(8) misses something
            self._warn_of(service)
            return
        request = encode_flush_add(domain, self._request.queue_id)
        answer = yield Exchange(f"public/{service}", announcement.QUEUE_FLUSH, request)
        if answer not in (_FLUSH_OK, _FLUSH_DENY):
            self._warn_of(service)

    def _warn_of(self, service: str) -> None:
        log.warning(f"{self._id}: {service} service failure")

    def _log(self, dsn: Dsn, status_word: str) -> None:
        report = self._report(dsn, status_word)
        log.info(recipient_line(report, self._reporter.style))
        self._observe(report)

    def _report(self, dsn: Dsn, status_word: str) -> Report:
        outcome = self._outcome
        return Report(
            self._request,
            self._recipient,
            self._reporter.relay,
            now(),
            dsn,
            status_word,
            None if outcome is None else outcome.mailbox,
            None if outcome is None else outcome.filling,
        )

    def _observe(self, report: Report) -> None:
        for observer in self._reporter.observers:
            try:
                observer.reported(report)
            except Exception as error:  # what was reported has been done
                log.error(
                    f"{self._id}: unexpected {type(error).__name__}: {error}; the"
                    " outcome was reported all the same, please report"
                )
