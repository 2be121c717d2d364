"""A reporter, and answers for it in place of the other services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postvirt.config.parameters import PARAMETERS, Settings
from postvirt.model.effects import Exchange, Pause
from postvirt.model.outcome import Outcome
from postvirt.model.report import Observer
from postvirt.model.request import (
    DeliveryRequest,
    MessageStats,
    Recipient,
    RequestFlag,
)
from postvirt.report.reporter import Reporter
from postvirt.tables.maps import Maps
from postvirt.tables.match_list import DomainList
from postvirt.tables.table import TableOptions
from tests.harness.tables import open_maps, open_tables
from tests.harness.times import moment

QUEUE_ID = b"3F1A2B4C5D"
# Everything happened at once, so that all delays are 0.
NOW = moment(1_000_000_000, 0)
STATS = MessageStats(NOW, NOW, NOW, NOW, NOW)
RECIPIENT = Recipient(
    original_recipient=b"old@example.com",
    address=b"new@example.com",
    offset=77,
    dsn_original_recipient=b"rfc822;o",
)

_SETTINGS: dict[str, Any] = {
    "bounce_service_name": "bounce",
    "defer_service_name": "defer",
    "trace_service_name": "trace",
    "address_verify_service_name": "verify",
    "flush_service_name": "flush",
    "soft_bounce": False,
    "address_verify_negative_cache": True,
    "delay_logging_resolution_limit": 2,
    "info_log_address_format": "external",
    "smtputf8_enable": True,
}


@dataclass(frozen=True, slots=True)
class Report:
    """What reporting came to: the result and the requests, with their attributes.

    pauses    how many seconds it waited, each time
    """

    done: bool
    requests: list[tuple[str, dict[str, str]]]
    pauses: list[float]

    @property
    def services(self) -> list[str]:
        return [service for service, _ in self.requests]


def settings(**changed: Any) -> Settings:
    """Settings of which the reporter's own have values."""
    unused: dict[str, Any] = dict.fromkeys(PARAMETERS)
    return Settings(**unused | _SETTINGS | changed)


def status_filter(maps: str) -> Maps:
    """virtual_delivery_status_filter with these tables."""
    return open_maps("virtual_delivery_status_filter", maps, TableOptions(utf8=True))


def reporter(
    *,
    maps: str = "",
    flush: str = "",
    observers: Sequence[Observer] = (),
    **changed: Any,
) -> Reporter:
    """A reporter with this status filter and these fast_flush_domains."""
    domains = DomainList(
        "fast_flush_domains",
        flush,
        parent_domain_matches_subdomains="fast_flush_domains",
        utf8=True,
        opened=open_tables(),
    )
    filter_maps = status_filter(maps) if maps else None
    return Reporter(settings(**changed), "virtual", filter_maps, domains, observers)


def attributes(request: bytes) -> dict[str, str]:
    """An attribute list as names and values."""
    *words, last, behind = request.split(b"\0")
    assert (last, behind) == (b"", b"")
    values = [word.decode("utf-8", "surrogateescape") for word in words]
    return dict(zip(values[::2], values[1::2], strict=True))


def report(
    outcome: Outcome,
    *,
    flags: int = 3,
    recipient: Recipient = RECIPIENT,
    answers: Mapping[str, int | None] | None = None,
    **options: Any,
) -> Report:
    """Let a reporter report, and answer it for the services; None is no answer."""
    steps = reporter(**options).report(request(flags), recipient, outcome)
    requests: list[tuple[str, dict[str, str]]] = []
    pauses: list[float] = []
    answer = None
    while True:
        try:
            effect = steps.send(answer)
        except StopIteration as result:
            return Report(result.value, requests, pauses)
        if isinstance(effect, Pause):
            pauses.append(effect.seconds)
            answer = None
            continue
        assert isinstance(effect, Exchange)
        assert effect.protocol == _PROTOCOLS[effect.service]
        requests.append((effect.service, attributes(effect.request)))
        answer = (answers or {}).get(effect.service, 0)


_PROTOCOLS = {
    "private/bounce": b"delivery_status_protocol",
    "private/defer": b"delivery_status_protocol",
    "private/trace": b"delivery_status_protocol",
    "private/verify": b"address_verification_prrotocol",
    "public/flush": b"queue_flush_protocol",
}


def request(flags: int) -> DeliveryRequest:
    """A delivery request of which only a few attributes count here."""
    return DeliveryRequest(
        flags=RequestFlag(flags),
        queue_name=b"active",
        queue_id=QUEUE_ID,
        data_offset=0,
        data_size=0,
        nexthop=b"example.com",
        stats=STATS,
    )


def with_notify(flags: int) -> Recipient:
    """The recipient with the sender's wishes for notification (RFC 3461)."""
    return RECIPIENT._replace(notify_flags=flags)
