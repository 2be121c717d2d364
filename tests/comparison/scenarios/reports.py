"""Who is told what: bounce, defer, trace, verify, flush, and the log."""

from __future__ import annotations

from collections.abc import Mapping

from postvirt.model.request import (
    NOTIFY_DELAY,
    NOTIFY_FAILURE,
    NOTIFY_NEVER,
    NOTIFY_SUCCESS,
    MessageStats,
    Recipient,
    RequestFlag,
)
from postvirt.standin.services import Behaviour
from tests.comparison.scenarios.expectations import NO_REPLY, UNTOUCHED_MAIL, log
from tests.harness.scenario import BOB, MBOX, NOBODY, NORMAL, Mail, Scenario, to
from tests.harness.times import moment

# Delivered, unknown, deferred (there is no owner for dave).
_DAVE = to("dave@example.com")
_MAILBOXES = {
    "bob@example.com": "bob/",
    "mbox@example.com": "mbox",
    "dave@example.com": "dave/",
}
_OWNERS = {"virtual_uid_maps": "inline:{bob@example.com=5000, mbox@example.com=5000}"}
_ALL = (BOB, MBOX, NOBODY, _DAVE)


def _flags(
    name: str,
    flags: RequestFlag,
    recipients: tuple[Recipient, ...] = _ALL,
    parameters: Mapping[str, str] | None = None,
    services: Mapping[str, Behaviour] | None = None,
) -> Scenario:
    """A message to recipients of all kinds, with these request flags."""
    return Scenario(
        name=name,
        mailboxes=_MAILBOXES,
        parameters={**_OWNERS, **(parameters or {})},
        services=services or {},
        mails=(Mail(flags=flags, recipients=recipients),),
    )


def _notify(flags: int) -> tuple[Recipient, ...]:
    """Recipients of all kinds with these notify flags, one with its original names."""
    return (
        to("bob@example.com", "sales@example.com", flags, b"rfc822;Sales@example.com"),
        to("mbox@example.com", notify=flags),
        to("nobody@example.com", notify=flags),
        to("dave@example.com", notify=flags),
    )


_VERIFY = RequestFlag.MTA_VRFY
_ORIGINALS = (
    to("bob@example.com", "sales@example.com"),
    to("bob@example.com", "bob@example.com"),
    to("nobody@example.com", "gone@example.com"),
)

_PROBES = (
    _flags("probe-for-verify", _VERIFY),
    _flags("probe-for-verify-with-normal-flags", _VERIFY | NORMAL),
    _flags("probe-for-verify-originals", _VERIFY, _ORIGINALS),
    _flags(
        "probe-for-verify-no-negative-cache",
        _VERIFY,
        parameters={"address_verify_negative_cache": "no"},
    ),
    _flags("probe-for-user", RequestFlag.USR_VRFY),
    _flags("probe-for-user-with-normal-flags", RequestFlag.USR_VRFY | NORMAL),
    _flags(
        "probe-for-user-soft-bounce",
        RequestFlag.USR_VRFY,
        parameters={"soft_bounce": "yes"},
    ),
    _flags(
        "probe-for-verify-service-fails",
        _VERIFY,
        (BOB, NOBODY),
        services={"private/verify": Behaviour(status=-1)},
    ),
    _flags(
        "probe-for-user-trace-down",
        RequestFlag.USR_VRFY,
        services={"private/trace": Behaviour(is_down=True)},
    ),
)

_TRACES = (
    _flags("record", RequestFlag.RECORD | NORMAL),
    _flags("delay-sent", RequestFlag.REC_DLY_SENT | NORMAL),
    _flags(
        "delay-sent-notify-delay",
        RequestFlag.REC_DLY_SENT | NORMAL,
        _notify(NOTIFY_DELAY),
    ),
    _flags(
        "delay-sent-notify-never",
        RequestFlag.REC_DLY_SENT | NORMAL,
        _notify(NOTIFY_NEVER),
    ),
    _flags(
        "delay-sent-notify-success",
        RequestFlag.REC_DLY_SENT | NORMAL,
        _notify(NOTIFY_SUCCESS),
    ),
    _flags("notify-success", NORMAL, _notify(NOTIFY_SUCCESS)),
    _flags("notify-failure", NORMAL, _notify(NOTIFY_FAILURE)),
    _flags("notify-delay", NORMAL, _notify(NOTIFY_DELAY)),
    _flags("notify-never", NORMAL, _notify(NOTIFY_NEVER)),
    _flags(
        "record-and-notify-success",
        RequestFlag.RECORD | NORMAL,
        _notify(NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY),
    ),
)

_SOFT = {"soft_bounce": "yes"}


def _filter(name: str, rules: Mapping[str, str]) -> Scenario:
    """All kinds of recipients and these rules, from "code text" to "code text"."""
    table = ", ".join(f"{{ {key} = {value} }}" for key, value in rules.items())
    parameters = {"virtual_delivery_status_filter": f"inline:{{{table}}}"}
    return _flags(name, NORMAL, parameters=parameters)


_UNKNOWN = '5.1.1 unknown user: "nobody@example.com"'
_CONFIG = "4.3.5 mail system configuration error"
_SENT = "2.0.0 delivered to maildir"

_OUTCOMES = (
    _flags("all-outcomes", NORMAL),
    _flags("all-outcomes-soft-bounce", NORMAL, parameters=_SOFT),
    _flags("all-outcomes-without-success-flag", RequestFlag.BOUNCE),
    _flags("all-outcomes-without-flags", RequestFlag(0)),
    _filter("filter-makes-bounce-a-defer", {_UNKNOWN: "4.1.1 come back later"}),
    _filter("filter-makes-defer-a-bounce", {_CONFIG: "5.3.5 go away"}),
    _filter("filter-success", {_SENT: "2.1.5 well done"}),
    _filter("filter-success-to-failure", {_SENT: "5.0.0 no"}),
    _filter("filter-failure-to-success", {_UNKNOWN: "2.0.0 yes"}),
    _filter("filter-bad-code", {_UNKNOWN: "soon later"}),
    _filter("filter-code-only", {_UNKNOWN: "4.1.1"}),
    _flags(
        "filter-table-missing",
        NORMAL,
        parameters={"virtual_delivery_status_filter": "texthash:@etc@/nothing"},
    ),
    _flags(
        "filter-and-soft-bounce",
        NORMAL,
        parameters={
            "virtual_delivery_status_filter": (
                f"inline:{{{{ {_CONFIG} = 5.3.5 go away }}}}"
            ),
            **_SOFT,
        },
    ),
    _flags(
        "default-filter",
        NORMAL,
        parameters={
            "default_delivery_status_filter": (
                f"inline:{{{{ {_CONFIG} = 5.3.5 go away }}}}"
            )
        },
    ),
)

_DOWN = Behaviour(is_down=True)
_FAILS = Behaviour(status=-1)
_HANGS_UP = Behaviour(answer=b"", hangs_up=True)


def _broken(
    name: str, recipient: Recipient, service: str, behaviour: Behaviour, *lines: str
) -> Scenario:
    """A service that does not keep to the protocol, and the log it makes."""
    return Scenario(
        name=name,
        mailboxes=_MAILBOXES,
        parameters=_OWNERS,
        services={f"private/{service}": behaviour},
        mails=(Mail(recipients=(recipient,)),),
        differs="What a service did",
        expected={"log": tuple(map(log, lines))},
    )


_NOT_BOUNCED = (
    "3F1A2B4C50: to=<nobody@example.com>, relay=virtual, delay=D, delays=A/B/C/D, "
    "dsn=4.3.0, status=deferred (bounce or trace service failure)"
)

_SERVICES = (
    _flags("bounce-down", NORMAL, services={"private/bounce": _DOWN}),
    _flags("bounce-fails", NORMAL, services={"private/bounce": _FAILS}),
    _flags("defer-down", NORMAL, services={"private/defer": _DOWN}),
    _flags("defer-fails", NORMAL, services={"private/defer": _FAILS}),
    _broken(
        "bounce-hangs-up",
        NOBODY,
        "bounce",
        _HANGS_UP,
        "warning: write/read private/bounce socket: no valid answer",
        _NOT_BOUNCED,
    ),
    _broken(
        "bounce-of-another-protocol",
        NOBODY,
        "bounce",
        Behaviour(protocol=b"strange_protocol"),
        "warning: unexpected protocol strange_protocol from private/bounce socket"
        " (expected: delivery_status_protocol)",
        "warning: read private/bounce socket: no valid answer",
        _NOT_BOUNCED,
    ),
    _broken(
        "defer-hangs-up",
        _DAVE,
        "defer",
        _HANGS_UP,
        "warning: recipient dave@example.com: not found in virtual_uid_maps",
        "warning: write/read private/defer socket: no valid answer",
        "warning: 3F1A2B4C50: defer service failure",
        "3F1A2B4C50: to=<dave@example.com>, relay=virtual, delay=D, delays=A/B/C/D, "
        "dsn=4.3.5, status=deferred (mail system configuration error)",
    ),
    _flags(
        "bounce-and-defer-down",
        NORMAL,
        services={"private/bounce": _DOWN, "private/defer": _DOWN},
    ),
    _flags(
        "bounce-down-soft-bounce",
        NORMAL,
        parameters=_SOFT,
        services={"private/bounce": _DOWN, "private/defer": _DOWN},
    ),
    _flags(
        "trace-down",
        RequestFlag.RECORD | NORMAL,
        services={"private/trace": _DOWN},
    ),
    _flags(
        "trace-fails",
        RequestFlag.RECORD | NORMAL,
        services={"private/trace": _FAILS},
    ),
    _flags(
        "trace-and-defer-down",
        RequestFlag.RECORD | NORMAL,
        services={"private/trace": _DOWN, "private/defer": _DOWN},
    ),
    _flags(
        "trace-down-notify-success",
        NORMAL,
        _notify(NOTIFY_SUCCESS),
        services={"private/trace": _DOWN},
    ),
    _flags(
        "other-service-names",
        NORMAL,
        parameters={"bounce_service_name": "defer", "defer_service_name": "bounce"},
    ),
)

_FLUSH = {"fast_flush_domains": "example.com"}

_FLUSHES = (
    _flags("fast-flush", NORMAL, parameters=_FLUSH),
    _flags(
        "fast-flush-by-relay-domains",
        NORMAL,
        parameters={"relay_domains": "example.com"},
    ),
    _flags(
        "fast-flush-of-another-domain",
        NORMAL,
        parameters={"fast_flush_domains": "example.net"},
    ),
    _flags(
        "fast-flush-parent-domain",
        NORMAL,
        parameters={"fast_flush_domains": ".com, !example.org"},
    ),
    _flags(
        "fast-flush-down", NORMAL, parameters=_FLUSH, services={"public/flush": _DOWN}
    ),
    _flags(
        "fast-flush-fails", NORMAL, parameters=_FLUSH, services={"public/flush": _FAILS}
    ),
    _flags("fast-flush-soft-bounce", NORMAL, (NOBODY,), parameters={**_FLUSH, **_SOFT}),
    _flags("fast-flush-no-domain", NORMAL, (to("dave"),), parameters=_FLUSH),
)


def _stamps(*times: tuple[int, int], reuse: int = 0) -> MessageStats:
    arrival, active, handoff, connected, delivered = (moment(*t) for t in times)
    return MessageStats(arrival, active, handoff, connected, delivered, reuse)


def _delays(name: str, *stats: MessageStats, **parameters: str) -> Scenario:
    """Delays in the log, for given timestamps."""
    return Scenario(
        name=name,
        parameters=parameters,
        delays=True,
        mails=tuple(Mail(stats=one) for one in stats),
    )


_T = 1_700_000_000
_STATS = (
    _stamps((_T, 0), (_T, 4_000), (_T, 4_900), (_T, 5_000), (_T, 95_000)),
    _stamps(
        (_T, 900_000), (_T + 1, 0), (_T + 3, 250_000), (_T + 3, 250_000), (_T + 9, 0)
    ),
    _stamps((_T, 0), (_T + 10, 0), (_T + 11, 500_000), (_T + 100, 0), (_T + 20_000, 0)),
    # The clock went back, and nothing ever took any time.
    _stamps((_T, 0), (_T - 5, 0), (_T - 5, 1), (_T - 9, 0), (_T - 10, 0)),
    _stamps((_T, 0), (_T, 0), (_T, 0), (_T, 0), (_T, 0)),
    _stamps((_T, 0), (_T, 10), (_T, 20), (_T, 30), (_T, 999_999)),
    # Connection reuse, and no connection set-up.
    _stamps((_T, 0), (_T, 5_000), (_T, 50_000), (0, 0), (_T, 995_000), reuse=3),
    _stamps((_T, 0), (_T, 5_000), (_T, 50_000), (_T, 994_900), (_T, 995_100), reuse=1),
)

_LOG = (
    _delays("delays", *_STATS),
    _delays("delays-of-whole-seconds", *_STATS, delay_logging_resolution_limit="0"),
    _delays("delays-of-microseconds", *_STATS, delay_logging_resolution_limit="6"),
    Scenario(
        name="log-addresses-internal",
        parameters={"info_log_address_format": "internal"},
        mailboxes={"@example.com": "all/"},
        mails=(Mail(recipients=(to("b ob@example.com", "b  ob@example.com"),)),),
    ),
    Scenario(
        name="log-addresses-of-no-format",
        parameters={"info_log_address_format": "mixed"},
        differs="Mistakes found at start-up",
        expected={
            "replies": (NO_REPLY,),
            "mail": UNTOUCHED_MAIL,
            "processes": ("reports nothing; exit 1",),
        },
    ),
    Scenario(name="syslog-name", parameters={"syslog_name": "mx1"}),
    Scenario(
        name="syslog-name-with-service",
        parameters={"syslog_name": "${multi_instance_name?x}mx/$service_name"},
        service="boxes",
    ),
    Scenario(name="service-name", service="boxes", mails=(Mail(recipients=_ALL),)),
    Scenario(
        name="log-long-reason",
        mailboxes={"bob@example.com": "x" * 250 + "/" + "y" * 250 + "/" + "z" * 300},
    ),
)

SCENARIOS = (
    *_PROBES,
    *_TRACES,
    *_OUTCOMES,
    *_SERVICES,
    *_FLUSHES,
    *_LOG,
)
