"""Senders and recipients of every form: how they are written and logged.

`delivery` has the plain cases, `searches` how they are looked up, `hostile` what nobody
thought of.
"""

from __future__ import annotations

from collections.abc import Sequence

from postvirt.model.request import MessageStats
from tests.harness.scenario import BOB, MBOX, Mail, Scenario, to
from tests.harness.times import moment

_UTF8 = "jörg@exämple.org".encode()
_LATIN_1 = "jörg@exämple.org".encode("latin-1")
_NO_UTF8 = {"smtputf8_enable": "no"}


def _locals(form: bytes) -> tuple[bytes, ...]:
    return tuple(
        form % bytes([byte]) for byte in b'()<>,;:\\".[]@ \t\r\n\x01\x1b\x7f!%*/'
    )


_DOTS = (b".a", b"a.", b"a..b", b".", b"..", b".a.b.")
_ODD = (
    *(b"a b", b'"a b"', b'"a"', b'"', b"\\", b"a\\", b'a"b\\c', b"a@b@c", b"@a", b"a@"),
    *(b"a" * 300, b"a b" * 100, b"", b"@r.example:a", b"@r.example:a b", b":a", b"@@"),
)
_FORMS = (*_locals(b"a%sb"), *_locals(b"%s"), *_DOTS, *_ODD)


def _senders(name: str, senders: Sequence[bytes], **parameters: str) -> Scenario:
    """A message from each of them to an mbox file, which names the sender twice."""
    mails = (Mail(sender=sender, recipients=(MBOX,), content=b"") for sender in senders)
    return Scenario(name=name, mails=tuple(mails), parameters=parameters)


_SENDERS = (
    _senders("senders-of-every-form", [one + b"@example.org" for one in _FORMS]),
    _senders("senders-without-domain", (b"a", b"a b", b"a@", b"@", b"@b", b'"a b"')),
    _senders("sender-in-utf-8", (_UTF8, b"x y" + _UTF8)),
    _senders("sender-in-utf-8-without-smtputf8", (_UTF8, b"x y" + _UTF8), **_NO_UTF8),
    _senders("sender-in-latin-1", (_LATIN_1, b"x y" + _LATIN_1)),
    _senders("sender-in-latin-1-without-smtputf8", (_LATIN_1,), **_NO_UTF8),
)


def _everybody(
    name: str, addresses: Sequence[bytes], originals: Sequence[bytes], **parameters: str
) -> Scenario:
    """All of them in one mbox file, each with each of the original recipients."""
    recipients = tuple(
        to(address, original, orcpt=b"rfc822;" + original if original else b"")
        for address in addresses
        for original in originals
    )
    return Scenario(
        name=name,
        parameters={"virtual_mailbox_maps": "static:everybody", **parameters},
        mails=(Mail(recipients=recipients, content=b""),),
    )


_RECIPIENTS = (
    _everybody(
        "recipients-of-every-form", [one + b"@example.com" for one in _FORMS], (b"",)
    ),
    _everybody(
        "original-recipients-of-every-form",
        (b"bob@example.com",),
        [one + b"@example.com" for one in _FORMS],
    ),
    _everybody(
        "recipients-without-domain",
        (b"a", b"a b", b"a@", b"@", b"@example.com", b"@@", b'""', b"a@b@"),
        (b"",),
    ),
    _everybody(
        "recipients-in-utf-8", (_UTF8, "JÖRG@exämple.org".encode()), (_UTF8, _LATIN_1)
    ),
    _everybody(
        "recipients-in-utf-8-without-smtputf8",
        (_UTF8, "JÖRG@exämple.org".encode(), b"x y" + _UTF8),
        (b"", _UTF8, _UTF8.upper()),
        **_NO_UTF8,
    ),
    _everybody("recipients-in-latin-1-and-static", (_LATIN_1, b"ok@x"), (b"", _UTF8)),
    _everybody(
        "recipients-in-latin-1-without-smtputf8",
        (_LATIN_1, _LATIN_1.upper()),
        (b"", _LATIN_1, _UTF8),
        **_NO_UTF8,
    ),
    Scenario(
        name="recipient-empty",
        mails=(Mail(recipients=(to(""), to("", "was@example.com"), BOB)),),
    ),
    Scenario(
        name="unknown-users-of-every-form",
        mails=(Mail(recipients=tuple(to(one + b"@Example.COM") for one in _FORMS)),),
    ),
    Scenario(
        name="unknown-users-logged-as-they-are",
        parameters={"info_log_address_format": "internal"},
        mails=(
            Mail(
                recipients=tuple(
                    to(one + b"@example.com", b"o " + one) for one in _FORMS
                )
            ),
        ),
    ),
)

# The log is cut behind 2000 bytes. Times are given, so that no delay moves that place.
_TIMES = MessageStats(*map(moment, range(1_700_000_000, 1_700_000_005)))


def _long(name: str, local: bytes, **parameters: str) -> Scenario:
    """Addresses of which a line of the log holds only a part."""
    recipients = (to(local + b"@example.com"), to("bob@example.com", local + b"@x"))
    return Scenario(
        name=name,
        parameters=parameters,
        delays=True,
        mails=(Mail(sender=local, recipients=recipients, stats=_TIMES),),
    )


_LONG = (
    _long("addresses-longer-than-a-log-line", b"x" * 3000),
    _long(
        "addresses-longer-than-a-log-line-delivered",
        "x ü".encode() * 5000,
        virtual_mailbox_maps="static:everybody",
    ),
)

SCENARIOS = (*_SENDERS, *_RECIPIENTS, *_LONG)
