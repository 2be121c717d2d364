"""What a delivery status filter makes of a status, and who is told of it then."""

from __future__ import annotations

from collections.abc import Mapping

from postvirt.model.request import (
    NOTIFY_DELAY,
    NOTIFY_FAILURE,
    NOTIFY_NEVER,
    NOTIFY_SUCCESS,
    Recipient,
    RequestFlag,
)
from postvirt.standin.instance import Instance
from postvirt.standin.services import Behaviour
from tests.comparison.scenarios.expectations import REPLY_DEFERRED, log, told, where
from tests.harness.installed_postfix import VERSION
from tests.harness.scenario import BOB, MBOX, NOBODY, NORMAL, Mail, Scenario, to

# Delivered, unknown, deferred (there is no owner for dave).
_DAVE = to("dave@example.com")
_ALL = (BOB, MBOX, NOBODY, _DAVE)
_MAILBOXES = {
    "bob@example.com": "bob/",
    "mbox@example.com": "mbox",
    "dave@example.com": "dave/",
}
_PARAMETERS = {
    "virtual_uid_maps": "inline:{bob@example.com=5000, mbox@example.com=5000}",
}
_FILTER = "virtual_delivery_status_filter"
_TURNED = (
    "regexp:{{/^4(.*)/ 5$1}, {/^5(.*)/ 4$1}, {/^2.[0-9].[0-9] (.*)/ 2.7.0 ok, $1}}"
)
_DOWN = Behaviour(is_down=True)


def _through(
    name: str,
    tables: str,
    *flags: RequestFlag,
    recipients: tuple[Recipient, ...] = _ALL,
    services: Mapping[str, Behaviour] | None = None,
    **parameters: str,
) -> Scenario:
    """Recipients of all kinds, and this filter; a message for each flags."""
    return Scenario(
        name=f"filter-{name}",
        mailboxes=_MAILBOXES,
        parameters=_PARAMETERS | {_FILTER: tables} | parameters,
        services=services or {},
        mails=tuple(
            Mail(flags=one, recipients=recipients) for one in flags or (NORMAL,)
        ),
    )


_EVERY_KIND = (
    NORMAL,
    NORMAL | RequestFlag.RECORD,
    RequestFlag.USR_VRFY,
    RequestFlag.MTA_VRFY,
)

_CHANGES = (
    _through("turns-everything", _TURNED, *_EVERY_KIND),
    _through("turns-everything-softly", _TURNED, *_EVERY_KIND, soft_bounce="yes"),
    _through(
        "turns-a-probe-that-is-not-cached",
        _TURNED,
        RequestFlag.MTA_VRFY,
        address_verify_negative_cache="no",
    ),
    _through(
        "and-all-services-down",
        _TURNED,
        services=dict.fromkeys(("private/bounce", "private/defer"), _DOWN),
        fast_flush_domains="example.com",
    ),
    _through(
        "spares-a-bounce-that-nobody-took",
        "regexp:{{/service failure/ 5.7.0 never}}",
        services={"private/bounce": _DOWN},
    ),
    _through(
        "for-a-lost-trace",
        "regexp:{{/service failed/ 4.7.0 later}}",
        NORMAL | RequestFlag.RECORD,
        services={"private/trace": _DOWN},
    ),
    _through(
        "off-although-there-is-a-default", "", default_delivery_status_filter=_TURNED
    ),
    _through(
        "before-the-default",
        "regexp:{{/^4/ 4.9.9 ours}}",
        default_delivery_status_filter=_TURNED,
    ),
    _through(
        "with-notifications",
        _TURNED,
        recipients=(
            to("bob@example.com", notify=NOTIFY_SUCCESS),
            to("nobody@example.com", notify=NOTIFY_NEVER),
            to("nobody@example.com", notify=NOTIFY_FAILURE),
            to("dave@example.com", notify=NOTIFY_DELAY),
            to("dave@example.com", notify=NOTIFY_NEVER),
        ),
    ),
)

# What a table may say of a user that is unknown.
_RESULTS = {
    "a": "5.7.1 go away",
    "b": "4.7.1    many   blanks ",
    "c": "4.7.1\ttab",
    "f": "5.7.1text",
    "g": "5.7 text",
    "h": "5.7.1.1 text",
    "i": "5.1234.1 text",
    "j": "5..1 text",
    "k": "550 5.7.1 text",
    "l": "3.0.0 text",
    "m": "2.0.0 text",
    "n": "text",
    "o": "5.999.000 text",
    "p": "4.7.1 schön \x01\x7f\x85 € \udcff\udcc3",
    "r": "4.7.1 %s %m $1 ${x} \\",
    "s": "6.0.0 text",
    "t": "-4.0.0",
}


# Codes only.
_CODES = {"a": "5.7.1", "b": "4.7.1 "}


def _results(kind: str) -> Scenario:
    """Many unknown users, and something else for each."""
    entries = {f"/{name}@/": value for name, value in _RESULTS.items()}
    return Scenario(
        name=f"filter-results-from-{kind}",
        parameters={_FILTER: f"{kind}:@etc@/filter", "smtputf8_enable": "yes"},
        tables={f"{kind}:filter": entries},
        mails=(Mail(recipients=tuple(to(f"{name}@example.com") for name in _RESULTS)),),
    )


def _codes() -> Scenario:
    users = [f"{name}@example.com" for name in _CODES]
    reasons = [f'unknown user: "{user}"' for user in users]
    known = "relay=virtual, delay=D, delays=A/B/C/D"
    return Scenario(
        name="filter-results-without-a-text",
        parameters={_FILTER: "regexp:@etc@/filter"},
        tables={"regexp:filter": {f"/{name}@/": _CODES[name] for name in _CODES}},
        mails=(Mail(recipients=tuple(map(to, users))),),
        **where(
            VERSION >= (3, 10),
            "Filters that change the code only",
            {
                "requests": (
                    told("bounce", users[0], "5.7.1", reasons[0], action="failed"),
                    told("defer", users[1], "4.7.1", reasons[1], offset=196),
                ),
                "log": (
                    log(
                        f"3F1A2B4C50: to=<{users[0]}>, {known}, dsn=5.7.1, "
                        f"status=bounced ({reasons[0]})"
                    ),
                    log(
                        f"3F1A2B4C50: to=<{users[1]}>, {known}, dsn=4.7.1, "
                        f"status=deferred ({reasons[1]})"
                    ),
                ),
            },
        ),
    )


def _foreign_mbox(instance: Instance) -> None:
    (instance.mail / "Box").touch()


def _tables(name: str, value: str, entries: Mapping[str, str]) -> Scenario:
    """A reason with capitals, and a filter with this key."""
    return Scenario(
        name=f"filter-{name}",
        mailboxes={"bob@example.com": "Box"},
        prepare=_foreign_mbox,
        parameters={_FILTER: value},
        tables={value.replace("@etc@/", ""): entries} if entries else {},
    )


_CAPITALS = "4.2.0 destination @mail@/Box is not owned by recipient"

_KEYS = (
    _results("regexp"),
    _codes(),
    _tables("key-in-hash", "hash:@etc@/filter", {f'"{_CAPITALS}"': "5.2.0 no"}),
    _tables("key-in-regexp", "regexp:{{/BOX IS/ 5.2.0 no}}", {}),
    _tables("key-in-inline", f"inline:{{{{{_CAPITALS} = 5.2.0 no}}}}", {}),
    _through(
        "keys-in-other-alphabets",
        "regexp:{{/j.*rg@/ 4.1.1 you}}",
        recipients=(
            to("jörg@example.com"),
            to("JÖRG@example.com"),
            to("jörg@example.com".encode("latin-1")),
            to("j\x01rg@example.com"),
        ),
    ),
    _through(
        "keys-in-other-alphabets-without-smtputf8",
        "regexp:{{/j.*rg@/ 4.1.1 yöu}}",
        recipients=(to("jörg@example.com"), to("jörg@example.com".encode("latin-1"))),
        smtputf8_enable="no",
    ),
)

_BOB = "bob@example.com"
_NOBODY = "nobody@example.com"
_NO_USER = f'unknown user: "{_NOBODY}"'
_LOST = "3F1A2B4C50: trace service failed"

_DIFFERENT = (
    Scenario(
        name="filter-bounces-a-delivery",
        mailboxes=_MAILBOXES,
        parameters={_FILTER: "regexp:{{/service failed/ 5.7.0 never}}"},
        services={"private/trace": _DOWN},
        mails=(Mail(recipients=(to("bob@example.com", notify=NOTIFY_SUCCESS),)),),
        differs="Filters and delivered mail",
        expected={
            "replies": (REPLY_DEFERRED,),
            "queue": ("3F1A2B4C50 -rwx------",),
            "requests": (
                told("defer", _BOB, "4.3.0", _LOST, offset=195, notify=NOTIFY_SUCCESS),
            ),
            "log": (
                log("warning: connect to private/trace: No such file or directory"),
                log("warning: 3F1A2B4C50: trace service failure"),
                log(
                    f"3F1A2B4C50: to=<{_BOB}>, relay=virtual, delay=D, "
                    f"delays=A/B/C/D, dsn=4.3.0, status=deferred ({_LOST})"
                ),
            ),
        },
    ),
    Scenario(
        name="filter-result-is-a-longer-code",
        parameters={_FILTER: "regexp:{{/^5/ 5.71.1}}"},
        mails=(Mail(recipients=(NOBODY,)),),
        differs="Filters that change the code only",
        expected={
            "requests": (told("bounce", _NOBODY, "5.71.1", _NO_USER, action="failed"),),
            "log": (
                log(
                    f"3F1A2B4C50: to=<{_NOBODY}>, relay=virtual, delay=D, "
                    f"delays=A/B/C/D, dsn=5.71.1, status=bounced ({_NO_USER})"
                ),
            ),
        },
    ),
)

_BROKEN = (
    _through("fails", "fail:always"),
    _through("fails-first", "fail:always regexp:{{/^5/ 4.1.1 x}}"),
    _through("of-unknown-type", "nosuchtype:x"),
    _through("of-bad-inline-table", "inline:{nonsense}"),
    _through("of-bad-expression", "regexp:{{/(/ 4.1.1 x}, {/^5/ 4.1.2 y}}"),
    _through("of-empty-results", "inline:{{4.3.5 mail system configuration error=}}"),
    _through("static", "static:{4.0.0 so be it}"),
    _through(
        "in-several-tables", "inline:{{x=y}} regexp:{{/^4/ 5.0.0 x}} static:{4.1.0 y}"
    ),
)

SCENARIOS = (*_CHANGES, *_KEYS, *_DIFFERENT, *_BROKEN)
