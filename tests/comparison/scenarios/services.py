"""bounce, defer, trace, verify and flush: slow, silent, talking nonsense, gone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from postvirt.codec.announcement import DELIVERY_STATUS, encode_announcement
from postvirt.model.request import Recipient, RequestFlag
from postvirt.standin.services import Behaviour
from tests.comparison.scenarios.expectations import REPLY_DEFERRED, log, told
from tests.harness.scenario import BOB, NOBODY, NORMAL, Mail, Scenario, to

# There is no owner for dave: the mail is deferred.
_DAVE = to("dave@example.com")
_MAILBOXES = {"bob@example.com": "bob/", "dave@example.com": "dave/"}
_PARAMETERS = {
    "virtual_uid_maps": "inline:{{bob@example.com=5000}}",
    "fast_flush_domains": "example.com",
    "ipc_timeout": "1s",
}

# The service, and to whom a message goes with which flags, so that it is asked.
_CASES: dict[str, tuple[str, tuple[Recipient, ...], RequestFlag]] = {
    "bounce": ("private/bounce", (NOBODY,), NORMAL),
    "defer": ("private/defer", (_DAVE,), NORMAL),
    "trace": ("private/trace", (BOB,), RequestFlag.RECORD | NORMAL),
    "trace-of-bounce": ("private/trace", (NOBODY,), RequestFlag.RECORD | NORMAL),
    "user-probe": ("private/trace", (BOB, NOBODY, _DAVE), RequestFlag.USR_VRFY),
    "verify": ("private/verify", (BOB, NOBODY), RequestFlag.MTA_VRFY),
    "flush": ("public/flush", (_DAVE,), NORMAL),
}

_NOT_BOUNCED = (
    "3F1A2B4C50: to=<nobody@example.com>, relay=virtual, delay=D, delays=A/B/C/D, "
    "dsn=4.3.0, status=deferred (bounce or trace service failure)"
)
_NO_OWNER = "warning: recipient dave@example.com: not found in virtual_uid_maps"
_DEFERRED = (
    "3F1A2B4C50: to=<dave@example.com>, relay=virtual, delay=D, delays=A/B/C/D, "
    "dsn=4.3.5, status=deferred (mail system configuration error)"
)


def _same(case: str, name: str, behaviour: Behaviour, **parameters: str) -> Scenario:
    """A service that behaves so; both programs do the same."""
    service, recipients, flags = _CASES[case]
    return Scenario(
        name=f"{case}-{name}",
        mailboxes=_MAILBOXES,
        parameters=_PARAMETERS | parameters,
        services={service: behaviour},
        mails=(Mail(recipients=recipients, flags=flags),),
    )


_ERRNO = "What a service did"
_ASKS_BLINDLY = "Services that do not announce themselves"


def _differs(
    case: str, name: str, behaviour: Behaviour, differs: str, *lines: str
) -> Scenario:
    """A service whose behaviour is logged in other words."""
    service, recipients, flags = _CASES[case]
    return Scenario(
        name=f"{case}-{name}",
        mailboxes=_MAILBOXES,
        parameters=_PARAMETERS,
        services={service: behaviour},
        mails=(Mail(recipients=recipients, flags=flags),),
        differs=differs,
        expected={"log": tuple(map(log, lines))},
    )


_ANNOUNCEMENT = encode_announcement(DELIVERY_STATUS)
_SILENT = Behaviour(greeting=b"")
_NEVER_ANSWERS = Behaviour(answer=b"")
_DOWN = Behaviour(is_down=True)
_FAILS = Behaviour(status=-1)
_HANGS_UP = Behaviour(answer=b"", hangs_up=True)

_SAME = (
    _same("bounce", "hangs-up-after-its-answer", Behaviour(hangs_up=True)),
    _same("bounce", "answers-more", Behaviour(answer=b"status\x000\0more\0x\0\0")),
    _same("bounce", "fails-softly", _FAILS, soft_bounce="yes"),
    _same("trace", "answers-more", Behaviour(answer=b"status\x000\0more\0x\0\0")),
    _same("trace-of-bounce", "down-soft-bounce", _DOWN, soft_bounce="yes"),
    _same("user-probe", "fails", _FAILS),
    _same("verify", "answers-bad-request", Behaviour(status=-2)),
    _same(
        "verify",
        "fails-and-is-not-asked",
        _FAILS,
        address_verify_negative_cache="no",
    ),
    Scenario(
        name="services-do-not-answer",
        mailboxes=_MAILBOXES,
        parameters=_PARAMETERS,
        services=dict.fromkeys(
            ("private/defer", "private/trace", "public/flush"), _NEVER_ANSWERS
        ),
        mails=(Mail(recipients=(_DAVE,), flags=RequestFlag.RECORD | NORMAL),),
    ),
    _same("flush", "denies", Behaviour(status=4)),
    _same("flush", "answers-more", Behaviour(answer=b"status\x000\0more\0x\0\0")),
)

_BOUNCE_NOT_READ = "warning: read private/bounce socket: no valid answer"
_BOUNCE_NOT_ANSWERED = "warning: write/read private/bounce socket: no valid answer"


def _bounce(name: str, answer: bytes, complaint: str, **more: Any) -> Scenario:
    """A bounce service that answers nonsense."""
    behaviour = Behaviour(answer=answer, **more)
    lines = (f"warning: {complaint}", _BOUNCE_NOT_ANSWERED, _NOT_BOUNCED)
    return _differs("bounce", name, behaviour, _ERRNO, *lines)


_NONSENSE = (
    _bounce(
        "hangs-up-in-its-answer",
        b"status\x000",
        "unexpected end-of-input from private/bounce socket"
        " while reading input attribute value",
        hangs_up=True,
    ),
    _bounce(
        "hangs-up-before-the-end",
        b"status\x000\0",
        "premature end-of-input on private/bounce socket"
        " while reading input attribute name",
        hangs_up=True,
    ),
    _bounce(
        "hangs-up-after-noise",
        b"\xff\n\x1b[31m" * 1000,
        "unexpected end-of-input from private/bounce socket"
        " while reading input attribute name",
        hangs_up=True,
    ),
    _bounce(
        "answers-text",
        "status\0d\x1b\xff\u00fcnn".encode("latin-1") + b"\0\0",
        "malformed numerical data from private/bounce socket"
        " while reading input attribute value: d???nn",
    ),
    _bounce(
        "answers-something-else",
        b"reason\0none\0\0",
        "unexpected attribute reason from private/bounce socket (expecting: status)",
    ),
    _bounce(
        "answers-an-empty-list",
        b"\0",
        "missing attribute status in input from private/bounce socket",
    ),
    _differs(
        "bounce",
        "hangs-up-at-once",
        Behaviour(greeting=b"", hangs_up_at_once=True),
        _ASKS_BLINDLY,
        _BOUNCE_NOT_READ,
        _NOT_BOUNCED,
    ),
    _differs(
        "bounce",
        "hangs-up-in-its-announcement",
        Behaviour(greeting=_ANNOUNCEMENT[:-1], hangs_up_at_once=True),
        _ERRNO,
        "warning: premature end-of-input on private/bounce socket"
        " while reading input attribute name",
        _BOUNCE_NOT_READ,
        _NOT_BOUNCED,
    ),
    _differs(
        "bounce",
        "announces-nothing",
        _SILENT,
        _ASKS_BLINDLY,
        "warning: read private/bounce socket: Connection timed out",
        _NOT_BOUNCED,
    ),
    _differs(
        "flush",
        "hangs-up",
        _HANGS_UP,
        _ERRNO,
        _NO_OWNER,
        _DEFERRED,
        "warning: write/read public/flush socket: no valid answer",
        "warning: 3F1A2B4C50: flush service failure",
    ),
)


def _stranger(name: str, greeting: bytes, complaint: str) -> Scenario:
    """A bounce service that announces itself in another way."""
    return Scenario(
        name=f"bounce-{name}",
        mailboxes=_MAILBOXES,
        parameters=_PARAMETERS,
        services={"private/bounce": Behaviour(greeting=greeting)},
        mails=(Mail(recipients=(NOBODY,)),),
        differs="Services that do not announce themselves",
        expected={
            "replies": (REPLY_DEFERRED,),
            "queue": ("3F1A2B4C50 -rwx------",),
            "requests": (
                told(
                    "defer",
                    NOBODY.address.decode(),
                    "4.3.0",
                    "bounce or trace service failure",
                ),
                "public/flush: request='add' site='example.com' queue_id='3F1A2B4C50'",
            ),
            "log": (
                log(f"warning: {complaint}"),
                log(_BOUNCE_NOT_READ),
                log(_NOT_BOUNCED),
            ),
        },
    )


_STRANGERS = (
    _stranger(
        "announces-an-empty-list",
        b"\0",
        "missing attribute protocol in input from private/bounce socket",
    ),
    _stranger(
        "announces-something-else",
        b"status\x000\0\0",
        "unexpected attribute status from private/bounce socket (expecting: protocol)",
    ),
)


def _verify(name: str, behaviour: Behaviour, differs: str, *lines: str) -> Scenario:
    """A verify service that serves its second client well."""
    probed = (
        (
            "3F1A2B4C50: to=<bob@example.com>, relay=virtual, delay=D, delays=A/B/C/D, "
            "dsn=2.0.0, status=deliverable (delivers to maildir)"
        ),
        (
            "3F1A2B4C50: to=<nobody@example.com>, relay=virtual, delay=D, "
            "delays=A/B/C/D, dsn=5.1.1, "
            'status=undeliverable (unknown user: "nobody@example.com")'
        ),
    )
    behaviour = replace(behaviour, spoilt_clients=1)
    return _differs("verify", name, behaviour, differs, *lines, *probed)


_ERRNO_OF_VERIFY = "What a service did"

_VERIFIED = (
    _verify(
        "does-not-answer-once",
        _NEVER_ANSWERS,
        _ERRNO_OF_VERIFY,
        "warning: write/read private/verify socket: Connection timed out",
    ),
    _verify(
        "hangs-up-after-its-answer",
        Behaviour(hangs_up=True),
        "New connection for each probe",
    ),
)

SCENARIOS = (*_SAME, *_NONSENSE, *_STRANGERS, *_VERIFIED)
