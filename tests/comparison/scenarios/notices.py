"""Flags of requests and recipients in all combinations, names of services, hints."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

from postvirt.codec.announcement import (
    ADDRESS_VERIFICATION,
    DELIVERY_STATUS,
    QUEUE_FLUSH,
)
from postvirt.model.request import Recipient, RequestFlag
from postvirt.standin.services import Behaviour
from tests.harness.scenario import NORMAL, Mail, Scenario, to

_MAILBOXES = {"bob@example.com": "bob/", "dave@example.com": "dave/"}
_PARAMETERS = {"virtual_uid_maps": "inline:{{bob@example.com=5000}}"}

# Delivered, unknown, deferred (there is no owner for dave).
_USERS = ("bob@example.com", "nobody@example.com", "dave@example.com")

_MTA_VRFY, _USR_VRFY = RequestFlag.MTA_VRFY, RequestFlag.USR_VRFY
_RECORD, _REC_DLY_SENT = RequestFlag.RECORD, RequestFlag.REC_DLY_SENT


def _recipients(notify: range) -> tuple[Recipient, ...]:
    return tuple(to(user, notify=flags) for flags, user in product(notify, _USERS))


def _notices(
    name: str,
    *flags: RequestFlag,
    notify: range = range(1),
    services: Mapping[str, Behaviour] | None = None,
    **parameters: str,
) -> Scenario:
    """Recipients of all kinds with these notify flags, once for each request flags."""
    return Scenario(
        name=f"notices-{name}",
        mailboxes=_MAILBOXES,
        parameters=_PARAMETERS | parameters,
        services=services or {},
        mails=tuple(Mail(flags=one, recipients=_recipients(notify)) for one in flags),
    )


_EVERY_NOTIFY = range(17)
_EVERY_TRACE = (NORMAL, NORMAL | _RECORD, NORMAL | _REC_DLY_SENT)
_EVERY_PROBE = (
    _MTA_VRFY | _USR_VRFY,
    _MTA_VRFY | _RECORD | _REC_DLY_SENT,
    _USR_VRFY | _RECORD | _REC_DLY_SENT,
    _MTA_VRFY | _USR_VRFY | _RECORD | NORMAL,
)
_SOFT: dict[str, Any] = {"soft_bounce": "yes"}
_NO_CACHE: dict[str, Any] = {"address_verify_negative_cache": "no"}

_FLAGS = (
    _notices("of-every-kind", *_EVERY_TRACE, notify=_EVERY_NOTIFY),
    _notices(
        "of-every-kind-soft-bounce", *_EVERY_TRACE, notify=range(0, 17, 2), **_SOFT
    ),
    _notices(
        "on-record-and-of-delays", NORMAL | _RECORD | _REC_DLY_SENT, notify=range(9)
    ),
    _notices("for-probes-of-every-kind", *_EVERY_PROBE, notify=range(0, 9, 2)),
    _notices("for-probes-soft-bounce", *_EVERY_PROBE, _MTA_VRFY, **_SOFT),
    _notices("for-probes-without-negative-cache", *_EVERY_PROBE, **_NO_CACHE),
    _notices("of-unknown-flags", RequestFlag(4 | 8 | 64 | 2048 | 4096 | 1 << 20)),
    _notices("of-all-flags", RequestFlag(0x7FFF_FFFF)),
)


_STATUS = Behaviour(protocol=DELIVERY_STATUS)
_RENAMED: dict[str, Any] = {
    "bounce_service_name": "my-bounce",
    "defer_service_name": "my-defer",
    "trace_service_name": "my-trace",
    "address_verify_service_name": "my-verify",
    "flush_service_name": "my-flush",
}
_RENAMED_SERVICES = {
    "private/my-bounce": _STATUS,
    "private/my-defer": _STATUS,
    "private/my-trace": _STATUS,
    "private/my-verify": Behaviour(protocol=ADDRESS_VERIFICATION),
    "public/my-flush": Behaviour(protocol=QUEUE_FLUSH),
}
_FAILING = {
    name: Behaviour(protocol=one.protocol, status=-1)
    for name, one in _RENAMED_SERVICES.items()
}
_FLAGS_FOR_ALL = (NORMAL | _RECORD, _MTA_VRFY, _USR_VRFY)

_NAMES = (
    _notices(
        "to-renamed-services",
        *_FLAGS_FOR_ALL,
        services=_RENAMED_SERVICES,
        fast_flush_domains="example.com",
        **_RENAMED,
    ),
    _notices(
        "to-renamed-services-that-fail",
        *_FLAGS_FOR_ALL,
        services=_FAILING,
        fast_flush_domains="example.com",
        **_RENAMED,
    ),
)


def _flush(name: str, domains: str, **parameters: str) -> Scenario:
    """Deferred mail for many domains, and this list of flush domains."""
    addresses = (
        *("a@example.com", "a@EXAMPLE.com", "a@sub.example.com", "a@b@example.org"),
        *("a@\u00c4.example", "a@[192.0.2.1]", "a@", "a", "@example.org"),
        b"a@\xff.example",
    )
    return Scenario(
        name=f"flush-{name}",
        parameters={
            "virtual_mailbox_maps": "static:x",
            "virtual_uid_maps": "",
            "fast_flush_domains": domains,
            **parameters,
        },
        tables={"texthash:domains": {"example.com": "x", ".example.org": "y"}},
        mails=(Mail(recipients=tuple(to(one) for one in addresses)),),
    )


_HINTS = (
    _flush("by-names", "example.com, \u00e4.example [192.0.2.1]"),
    _flush("by-parents-of-a-dot", ".com", parent_domain_matches_subdomains=""),
    _flush("by-exception", "!sub.example.com example.com static:all"),
    _flush("by-table", "texthash:@etc@/domains"),
    _flush("by-table-that-fails", "fail:x"),
    _flush("by-names-and-a-comment", "example.com # not example.org"),
    _flush("by-file-that-is-missing", "@etc@/nothing"),
)

SCENARIOS = (*_FLAGS, *_NAMES, *_HINTS)
