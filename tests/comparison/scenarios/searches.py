"""By which keys an address is looked up: extensions, own domains, quotes.

Nothing is written: the base is closed to the recipients, and what a program logs about
each of them says where its mail was to go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from postvirt.standin.instance import Instance
from tests.comparison.scenarios.expectations import (
    configuration_error_log,
    log,
    sent,
)
from tests.harness.raw_tables import write_lmdb
from tests.harness.scenario import BOB, Mail, Scenario, to

_NO_UTF8 = {"smtputf8_enable": "no"}


def _closed_folder(instance: Instance) -> None:
    (instance.root / "closed").mkdir(0o755)


def _search(
    name: str,
    addresses: Sequence[str],
    mailboxes: Mapping[str, str],
    **parameters: str,
) -> Scenario:
    """What is found for each address; nothing can be written there, but is logged."""
    return Scenario(
        name=name,
        mailboxes=mailboxes,
        prepare=_closed_folder,
        parameters={"virtual_mailbox_base": "@root@/closed", **parameters},
        mails=(Mail(recipients=tuple(map(to, addresses))),),
    )


_EXTENDED = (
    *"bob bob+ bob+x bob++x bob+x+y +bob +bob+x ++bob + ++".split(),
    *"bob- bob-x -bob-x - bob+-x bob-+x bob-x+y bob+x-y -+bob bob.x bob=x".split(),
    *"owner-bob OWNER-bob owner- owner owner-bob+x owner+x x-owner-y".split(),
    *"bob-request bob-REQUEST -request request bob+x-request".split(),
    *"bob-request+x bob-request-x bob+request x-bob-request".split(),
    *"postmaster Postmaster postmaster-x postmaster+x".split(),
    *"MAILER-DAEMON mailer-daemon mailer-daemon-x mailer-daemon+x".split(),
    *"double-bounce Double-Bounce double-bounce-x double-bounce+x".split(),
    *("b@b+x", "bob+a b", "bob x", "jörg+x", "jörg", "+jörg"),
)
_SPLIT = (
    *"bob owner list request postmaster mailer mailer-daemon double".split(),
    *"double-bounce bob-request owner-bob b@b jörg j b post p".split(),
    *"bob+x bob-x -bob +bob".split(),
)
_KEYS = {
    f"{one}{domain}": f"{one}{domain}/"
    for one in _SPLIT
    for domain in ("@example.com", "")
}


def _extensions(name: str, delimiter: str, **parameters: str) -> Scenario:
    addresses = [
        f"{one}{domain}"
        for one in _EXTENDED
        for domain in ("@example.com", "@mail.example.org")
    ]
    addresses += "bob+x bob-x +bob owner-bob bob-request mailer-daemon".split()
    return _search(name, addresses, _KEYS, recipient_delimiter=delimiter, **parameters)


_EXTENSIONS = (
    _extensions("extensions-plus", "+"),
    _extensions("extensions-minus", "-"),
    _extensions("extensions-plus-minus", "+-"),
    _extensions("extensions-none", ""),
    _extensions("extensions-all-marks", "+-=. "),
    _extensions("extensions-of-letters", "mo"),
    _extensions("extensions-at", "@"),
    _extensions("extensions-of-a-utf-8-letter", "ö"),
    _extensions("extensions-minus-nobody-special", "-", owner_request_special="no"),
    _extensions("extensions-other-double-bounce", "-", double_bounce_sender="bob-X"),
)

_OWN = (
    *"bob+x@mail.example.org bob@MAIL.Example.Org bob@mail.example.org.".split(),
    *"bob@mail.example.org.. bob@example.org bob@dest.example".split(),
    *"bob@Dest.Example. bob@sub.dest.example bob@dest.example.com".split(),
    *"nobody@dest.example a@b@dest.example bob@other.example bob@. bob@ bob".split(),
    *("a b@dest.example", "a b+x@dest.example"),
    *"bob@[127.0.0.1] bob+x@[127.0.0.1] bob@[127.0.0.1]. bob@[127.0.0.2]".split(),
    *"bob@[192.0.2.9] bob@[192.0.2.1] bob@[0177.0.0.1] bob@[127.1]".split(),
    *"bob@[IPv6:::1] bob@[ipv6:0:0:0:0:0:0:0:1] bob@[IPv6:2001:db8::1]".split(),
    *"bob@[::1] bob@[IPv6:::ffff:127.0.0.1] bob@[127.0.0.1:25]".split(),
    *"bob@127.0.0.1 bob@[] bob@[127.0.0.1 bob@[mail.example.org]".split(),
)
_OWN_KEYS = {
    "bob": "local/",
    '"a b"': "quoted/",
    '"a@b"': "at/",
    "@dest.example": "domain/",
    "@mail.example.org": "own/",
    "@[192.0.2.1]": "literal/",
}


def _own(name: str, **parameters: str) -> Scenario:
    """Which domains are our own, so that a local part alone is a key."""
    return _search(name, _OWN, _OWN_KEYS, **{"recipient_delimiter": "+", **parameters})


_NO_TABLE = "open database /ROOT/etc/nothing: No such file or directory"


def _destinations(instance: Instance) -> None:
    _closed_folder(instance)
    lines = "# a comment\ndest.example\n!other.example, example.org\n"
    _world_readable(instance.etc / "destinations", lines)
    _world_readable(instance.etc / "origin", "dest.example\n")


def _world_readable(path: Path, content: str) -> None:
    path.write_text(content)
    path.chmod(0o644)


_OWN_DOMAINS = (
    _own("own-domains-origin-only"),
    _own("own-domains-destinations", mydestination="dest.example, $mydomain"),
    _own("own-domains-another-origin", myorigin="Dest.Example"),
    _own("own-domains-origin-with-dot", myorigin="dest.example."),
    replace(
        _own("own-domains-in-a-file", mydestination="@etc@/destinations"),
        prepare=_destinations,
    ),
    replace(
        _own("own-domains-origin-in-a-file", myorigin="@etc@/origin"),
        prepare=_destinations,
    ),
    _own(
        "own-domains-in-a-table", mydestination="inline:{dest.example=x}, other.example"
    ),
    _own(
        "own-domains-but-not", mydestination="!dest.example, static:all, unused.example"
    ),
    _own("own-domains-by-pattern", mydestination=r"regexp:{{/dest\.example$$/ x}}"),
    _own("own-interfaces-all", inet_interfaces="all", inet_protocols="all"),
    _own("own-interfaces-loopback", inet_interfaces="loopback-only"),
    _own("own-interfaces-proxy", proxy_interfaces="192.0.2.9, 192.0.2.10"),
    _own(
        "own-interfaces-proxy-ipv6",
        proxy_interfaces="[2001:db8::1]",
        inet_protocols="all",
    ),
    Scenario(
        name="own-domains-in-a-missing-table",
        parameters={
            "mydestination": "texthash:@etc@/nothing",
            "virtual_mailbox_maps": "inline:{bob@example.com=bob/, bob=local/}",
        },
        mails=(Mail(recipients=(to("bob@example.net"), BOB)),),
        differs="Reason of a failed lookup",
        expected={
            "log": (
                log(f"error: {_NO_TABLE}"),
                *configuration_error_log(
                    f"texthash:/ROOT/etc/nothing is unavailable. {_NO_TABLE}",
                    "mydestination: texthash:/ROOT/etc/nothing: table lookup problem",
                    "table virtual_mailbox_maps: lookup bob@example.net: "
                    f"texthash:/ROOT/etc/nothing is unavailable. {_NO_TABLE}",
                    address="bob@example.net",
                ),
                sent("3F1A2B4C50"),
            )
        },
    ),
)


def _raw(
    name: str, entries: Mapping[bytes, bytes], addresses: Sequence[bytes], **more: str
) -> Scenario:
    """As _search, with a table of any bytes."""

    def prepare(instance: Instance) -> None:
        _closed_folder(instance)
        write_lmdb(instance.etc / "boxes", entries)

    return Scenario(
        name=name,
        prepare=prepare,
        parameters={
            "virtual_mailbox_base": "@root@/closed",
            "virtual_mailbox_maps": "lmdb:@etc@/boxes",
            "mydestination": "dest.example",
            "recipient_delimiter": "+",
            **more,
        },
        mails=(Mail(recipients=tuple(map(to, addresses))),),
    )


_BLANK = (
    *(b"a b@example.com", b"a b+x@example.com", b"a b+x y@example.com"),
    *(b"a b@dest.example", b"a b+x@dest.example", b"a b", b"a b+x", b"A B@Example.com"),
    *(b'"a b"@example.com', b'"a b"@dest.example', b"a+b c@example.com"),
)
_UNQUOTED = {
    one: b"unquoted-%d/" % number
    for number, one in enumerate(
        (b"a b@example.com", b"a b", b"a b+x y@example.com", b"a@example.com")
    )
}
_QUOTED = {
    one: b"quoted-%d/" % number
    for number, one in enumerate(
        (b'"a b"@example.com', b'"a b"', b'"a b+x y"@example.com', b'"a"@example.com')
    )
}
_NOTHING = b'""'

_QUOTES = (
    _raw("keys-quoted", _QUOTED, _BLANK),
    _raw("keys-unquoted", _UNQUOTED, _BLANK),
    _raw("keys-quoted-and-unquoted", {**_UNQUOTED, **_QUOTED}, _BLANK),
    _raw(
        "keys-of-an-empty-local-part",
        {_NOTHING: b"a/", b"@": b"b/", _NOTHING + b"@example.com": b"c/"},
        (b"@example.com", b"@", b"", b"@dest.example", b'""@example.com', b"x@"),
    ),
    _raw(
        "keys-with-two-ats",
        {
            b"a@b@example.com": b"unquoted/",
            b'"a@b"@example.com': b"quoted/",
            b'"c@d"': b"local/",
            b"e@f": b"bare/",
            b"@example.com": b"all/",
        },
        (
            *(b"a@b@example.com", b"a@b+x@example.com", b"c@d@dest.example"),
            *(b"e@f@dest.example", b"e@f", b"a+x@b@example.com", b"@b@example.com"),
        ),
    ),
    _raw(
        "keys-in-latin-1",
        {b"\xfc@example.com": b"latin/", b"@example.com": b"all/"},
        (b"\xfc@example.com", b"\xdc@example.com", b"x+\xfc@example.com"),
    ),
    _raw(
        "keys-in-latin-1-without-smtputf8",
        {b"\xfc@example.com": b"latin/", b"@example.com": b"all/"},
        (b"\xfc@example.com", b"\xdc@example.com", b"\xfc+x@example.com"),
        **_NO_UTF8,
    ),
    _raw(
        "keys-in-utf-8-folded",
        {
            "straße@example.com".encode(): b"sharp/",
            b"strasse@example.com": b"double/",
            "\N{GREEK SMALL LETTER SIGMA}@example.com".encode(): b"sigma/",
            "i̇@example.com".encode(): b"dot/",
            b"k@example.com": b"kelvin/",
            "e\N{COMBINING ACUTE ACCENT}@example.com".encode(): b"decomposed/",
        },
        tuple(
            f"{one}@example.com".encode()
            for one in (
                "Straße",
                "STRASSE",
                "ς",
                "Σ",
                "İ",
                "\N{LATIN SMALL LETTER DOTLESS I}",
                "\N{KELVIN SIGN}",
                "É",
            )
        ),
    ),
    _search(
        "patterns-see-the-whole-address-only",
        (
            "bob+x@example.com",
            "bob@mail.example.org",
            "a b@example.com",
            "z@example.com",
        ),
        {},
        recipient_delimiter="+",
        virtual_mailbox_maps=(
            r"regexp:{{/^bob$$/ local/} {/^@/ domain/} {/^bob@example.com$$/ bare/}"
            r' {/^"a b"@/ quoted/} {/^a b@/ unquoted/}} inline:{@example.com=all/}'
        ),
    ),
    _search(
        "patterns-find-the-owner",
        ("bob+x@example.com", "carol@example.com"),
        {"@example.com": "all/"},
        virtual_uid_maps=r"regexp:{{/^bob/ 5001}}",
        virtual_gid_maps=r"regexp:{{/^bob/ 5002} {/./ 5003}}",
    ),
)

SCENARIOS = (
    *_EXTENSIONS,
    *_OWN_DOMAINS,
    *_QUOTES,
)
