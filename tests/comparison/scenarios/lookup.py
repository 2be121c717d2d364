"""Which mailbox: the search order and the owner."""

from __future__ import annotations

from postvirt.standin.instance import Instance
from tests.comparison.scenarios.expectations import (
    configuration_error,
)
from tests.harness.scenario import BOB, MAILBOXES, MBOX, Mail, Scenario, to


def _one(
    name: str, address: str, mailboxes: dict[str, str], **parameters: str
) -> Scenario:
    """One recipient, one table of mailboxes."""
    mail = Mail(recipients=(to(address),))
    return Scenario(
        name=name, mailboxes=mailboxes, parameters=parameters, mails=(mail,)
    )


_PLUS = {"recipient_delimiter": "+"}

_SEARCH = (
    _one("unknown-user", "nobody@example.com", MAILBOXES),
    _one("unknown-user-with-capitals", "NoBody@Example.COM", MAILBOXES),
    _one("unknown-user-that-needs-quotes", "no body@example.com", MAILBOXES),
    _one("unknown-user-in-utf-8", "JÖRG@example.com", MAILBOXES),
    _one("capitals-in-recipient", "BOB@EXAMPLE.COM", MAILBOXES),
    _one("capitals-in-table", "bob@example.com", {"Bob@example.com": "bob/"}),
    _one("utf-8-folding", "JÖRG@example.com", {"jörg@example.com": "joerg/"}),
    _one(
        "no-utf-8-folding",
        "JÖRG@example.com",
        {"jörg@example.com": "small/", "jÖrg@example.com": "large/"},
        smtputf8_enable="no",
    ),
    _one("extension", "bob+box@example.com", MAILBOXES, **_PLUS),
    _one(
        "extension-in-table",
        "bob+box@example.com",
        {**MAILBOXES, "bob+box@example.com": "box/"},
        **_PLUS,
    ),
    _one("extension-without-delimiter", "bob+box@example.com", MAILBOXES),
    _one(
        "extension-of-two-delimiters",
        "bob-a+b@example.com",
        MAILBOXES,
        recipient_delimiter="+-",
    ),
    _one("leading-delimiter", "+bob@example.com", MAILBOXES, **_PLUS),
    _one("catch-all", "whoever@example.com", {"@example.com": "all/"}),
    _one(
        "catch-all-after-address",
        "bob@example.com",
        {"@example.com": "all/", "bob@example.com": "bob/"},
    ),
    _one(
        "catch-all-with-extension", "x+y@example.com", {"@example.com": "all/"}, **_PLUS
    ),
    _one("catch-all-of-another-domain", "bob@example.net", {"@example.com": "all/"}),
    _one(
        "local-part-of-own-domain",
        "bob@mail.example.org",
        {"bob": "local/", "bob@example.com": "bob/"},
    ),
    _one(
        "local-part-of-destination",
        "bob+box@example.com",
        {"bob": "local/"},
        mydestination="example.com",
        **_PLUS,
    ),
    _one("local-part-of-another-domain", "bob@example.com", {"bob": "local/"}),
    _one(
        "local-part-of-interface",
        "bob@[127.0.0.1]",
        {"bob": "local/"},
    ),
    _one("no-domain", "bob", {"bob": "local/", "bob@mail.example.org": "full/"}),
    _one(
        "owner-is-not-split",
        "owner-list@example.com",
        {"owner@example.com": "split/"},
        recipient_delimiter="-",
    ),
    _one(
        "request-is-not-split",
        "list-request@example.com",
        {"list@example.com": "split/"},
        recipient_delimiter="-",
    ),
    _one(
        "owner-is-split-if-wanted",
        "owner-list@example.com",
        {"owner@example.com": "split/"},
        recipient_delimiter="-",
        owner_request_special="no",
    ),
    _one(
        "mailer-daemon-is-not-split",
        "mailer-daemon+x@example.com",
        {"mailer-daemon@example.com": "daemon/"},
        **_PLUS,
    ),
    _one(
        "double-bounce-is-not-split",
        "double-bounce+x@example.com",
        {"double-bounce@example.com": "double/"},
        **_PLUS,
    ),
    _one(
        "postmaster-with-extension",
        "postmaster+x@example.com",
        {"postmaster@example.com": "postmaster/"},
        **_PLUS,
    ),
    _one("quoted-key", "b ob@example.com", {'"b ob"@example.com': "quoted/"}),
    _one(
        "unquoted-key-of-quoted-name", ".bob@example.com", {".bob@example.com": "dot/"}
    ),
)


def _ids(name: str, uid: str = "static:5000", gid: str = "static:5000") -> Scenario:
    """One recipient, uid and gid from these tables."""
    return Scenario(
        name=name, parameters={"virtual_uid_maps": uid, "virtual_gid_maps": gid}
    )


def _open_directory(instance: Instance) -> None:
    """Make a place where everybody can write."""
    path = instance.root / "open"
    path.mkdir()
    path.chmod(0o1777)


_IDS = (
    _ids("uid-map-not-set", uid=""),
    _ids("gid-map-not-set", gid=""),
    Scenario(
        name="uid-not-found",
        parameters={"virtual_uid_maps": "inline:{x@example.com=5000}"},
    ),
    Scenario(
        name="gid-not-found",
        parameters={"virtual_gid_maps": "inline:{x@example.com=5000}"},
    ),
    _ids(
        "uid-keys-never-looked-up",
        uid="inline:{example.com=1, bob=2, *=3, *@example.com=4, .example.com=5, @*=6}",
    ),
    _ids("uid-below-minimum", uid="static:99"),
    _ids("uid-at-minimum", uid="static:100"),
    _ids("uid-zero", uid="static:0"),
    _ids("gid-zero", gid="static:0"),
    _ids("gid-one", gid="static:1"),
    _ids("uid-is-no-number", uid="static:vmail"),
    _ids("gid-is-no-number", gid="static:vmail"),
    _ids("uid-with-leading-zeros", uid="static:0005000"),
    _ids("uid-negative", uid="static:-1"),
    Scenario(
        name="uid-minimum-chosen",
        parameters={"virtual_minimum_uid": "6000"},
    ),
    Scenario(
        name="uid-with-extension",
        parameters={
            "recipient_delimiter": "+",
            "virtual_uid_maps": "inline:{{bob@example.com=5000}}",
            "virtual_gid_maps": "inline:{{bob@example.com=5000}}",
        },
        mails=(Mail(recipients=(to("bob+box@example.com"),)),),
    ),
    Scenario(
        name="another-owner",
        parameters={
            "virtual_uid_maps": "static:5001",
            "virtual_gid_maps": "static:5002",
            "virtual_mailbox_base": "@root@/open",
        },
        prepare=_open_directory,
        mails=(Mail(recipients=(BOB, MBOX)),),
    ),
)


def _strict(name: str, which: str, value: str) -> Scenario:
    """A uid or gid that Postfix 3.12 refuses and older versions misread."""
    return Scenario(
        name=name,
        parameters={f"virtual_{which}_maps": f"static:{{{value}}}"},
        differs="Strict uid and gid",
        expected={
            **configuration_error(
                f"recipient bob@example.com: bad {which} {value}"
                f" in virtual_{which}_maps"
            ),
            "processes": ("reports 0 1; exit 0",),
        },
    )


def _dots(name: str, result: str) -> Scenario:
    """A path that leads out of the mailbox base."""
    return Scenario(
        name=name,
        mailboxes={"bob@example.com": result},
        differs="Paths that climb",
        expected=configuration_error(
            f"recipient bob@example.com: bad mailbox path {result}"
            " in virtual_mailbox_maps"
        ),
    )


_STRICT = (
    _strict("uid-with-tail", "uid", "5000x"),
    _strict("gid-with-tail", "gid", "5000 staff"),
    _strict("uid-with-fraction", "uid", "5000.5"),
    _strict("uid-out-of-range", "uid", "4294972296"),
    _strict("gid-out-of-range", "gid", "4294972296"),
    _strict("uid-that-means-nobody", "uid", "4294967295"),
    _dots("path-out-of-base", "../bob/"),
    _dots("path-through-parent", "a/../bob/"),
)

SCENARIOS = (*_SEARCH, *_IDS, *_STRICT)
