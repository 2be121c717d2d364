"""Which mailbox: the search order, the owner, and every table type."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import QueueFile
from tests.comparison.scenarios.expectations import (
    configuration_error,
    configuration_error_log,
    log,
    sent,
)
from tests.harness.scenario import BOB, MAILBOXES, MBOX, NOBODY, Mail, Scenario, to


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
        reason=(
            "Postfix 3.12 wants a whole decimal number in range and nothing else;"
            " postvirt does so for every version, because a misread number is a"
            " mailbox of the wrong owner"
        ),
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
        reason="Postfix 3.12 refuses such a path; postvirt does so for every version",
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


def _type(kind: str) -> Scenario:
    """Both mailboxes and owners from a table of one type."""
    return Scenario(
        name=f"table-{kind}",
        parameters={
            "virtual_mailbox_maps": f"{kind}:@etc@/boxes",
            "virtual_uid_maps": f"{kind}:@etc@/ids",
            "virtual_gid_maps": f"{kind}:@etc@/ids",
        },
        tables={
            f"{kind}:boxes": {**MAILBOXES, "Dave@Example.com": "dave/"},
            f"{kind}:ids": {"@example.com": "5000"},
        },
        mails=(Mail(recipients=(BOB, MBOX, to("dave@example.com"), NOBODY)),),
    )


_OWN_WORDS = (
    "virtual(8) ends the second warning with the text of errno, which may be left over"
    " from any earlier call; postvirt repeats what is wrong with the table"
)


_NOTHING = "open database /ROOT/etc/nothing: No such file or directory"
_EMPTY = "virtual_mailbox_maps lookup of bob@example.com returns an empty string result"


def _failing(
    name: str,
    table: str,
    problem: str,
    *,
    prepare: Callable[[Instance], None] | None = None,
    tables: Mapping[str, Mapping[str, str]] | None = None,
) -> Scenario:
    """A table that cannot be used."""
    where = table.replace("@etc@", "/ROOT/etc")
    problem = problem.replace("@etc@", "/ROOT/etc")
    lines = configuration_error_log(
        f"{where} is unavailable. {problem}",
        f'{where} lookup error for "bob@example.com"',
        "table virtual_mailbox_maps: lookup bob@example.com: "
        f"{where} is unavailable. {problem}",
    )
    return Scenario(
        name=name,
        parameters={"virtual_mailbox_maps": table},
        prepare=prepare,
        tables=tables or {},
        reason=_OWN_WORDS,
        expected={"log": (log(f"error: {problem}"), *lines)},
    )


def _make_unreadable(instance: Instance) -> None:
    (instance.etc / "mailboxes").chmod(0o600)


def _change_table(instance: Instance, queued: QueueFile) -> None:
    path = instance.etc / "mailboxes"
    path.write_text("bob@example.com\tchanged/\n")


def _replace_table(instance: Instance, queued: QueueFile) -> None:
    path = instance.etc / "mailboxes"
    new = Path(f"{path}.new")
    new.write_text("bob@example.com\treplaced/\n")
    os.replace(new, path)


def _no_index(instance: Instance) -> None:
    (instance.etc / "boxes").write_text("bob@example.com bob/\n")


def _broken_index(instance: Instance) -> None:
    (instance.etc / "boxes.db").write_bytes(b"this is no database")


def _maps(name: str, value: str, **more: object) -> Scenario:
    """One recipient, virtual_mailbox_maps as given."""
    return Scenario(name=name, parameters={"virtual_mailbox_maps": value}, **more)  # type: ignore[arg-type]


_TABLES = (
    *map(_type, ("texthash", "hash", "btree", "lmdb")),
    _maps("table-static", "static:shared/"),
    _maps("table-static-in-braces", "static:{ shared box/ }"),
    _maps("table-inline", "inline:{bob@example.com=inline/}"),
    _maps("table-inline-braces", "inline:{ { bob@example.com = in line/ } }"),
    _maps("table-inline-capitals", "inline:{Bob@example.com=inline/}"),
    _maps("no-mailbox-maps", ""),
    _failing(
        "table-missing",
        "texthash:@etc@/nothing",
        "open database @etc@/nothing: No such file or directory",
    ),
    _failing(
        "table-missing-hash",
        "hash:@etc@/nothing",
        "open database @etc@/nothing.db: No such file or directory",
    ),
    _failing(
        "table-missing-lmdb",
        "lmdb:@etc@/nothing",
        "open database @etc@/nothing.lmdb: No such file or directory",
    ),
    _failing(
        "table-index-missing",
        "hash:@etc@/boxes",
        "open database @etc@/boxes.db: No such file or directory",
        prepare=_no_index,
    ),
    _failing(
        "table-index-broken",
        "hash:@etc@/boxes",
        "open database @etc@/boxes.db: Invalid argument",
        prepare=_broken_index,
    ),
    _failing(
        "table-index-of-another-type",
        "btree:@etc@/boxes",
        "open database @etc@/boxes.db: Invalid argument",
        tables={"hash:boxes": MAILBOXES},
    ),
    _failing(
        "table-unreadable",
        "texthash:@etc@/mailboxes",
        "open database @etc@/mailboxes: Permission denied",
        prepare=_make_unreadable,
    ),
    _failing(
        "table-type-unknown",
        "nosuchtype:@etc@/mailboxes",
        "unsupported dictionary type: nosuchtype",
    ),
    _maps("table-without-type", "@etc@/mailboxes"),
    _maps(
        "several-tables",
        "inline:{x@example.com=x/}, texthash:@etc@/mailboxes static:rest/",
        mails=(Mail(recipients=(BOB, to("x@example.com"), NOBODY)),),
    ),
    _maps(
        "several-tables-one-missing",
        "inline:{bob@example.com=first/} texthash:@etc@/nothing static:rest/",
        mails=(Mail(recipients=(BOB, MBOX)),),
        reason=_OWN_WORDS,
        expected={
            "log": (
                log(f"error: {_NOTHING}"),
                sent("3F1A2B4C50"),
                *configuration_error_log(
                    f"texthash:/ROOT/etc/nothing is unavailable. {_NOTHING}",
                    'texthash:/ROOT/etc/nothing lookup error for "mbox@example.com"',
                    "table virtual_mailbox_maps: lookup mbox@example.com: "
                    f"texthash:/ROOT/etc/nothing is unavailable. {_NOTHING}",
                    address="mbox@example.com",
                ),
            )
        },
    ),
    _maps(
        "static-wins-over-catch-all",
        "inline:{@example.com=all/} static:static/",
    ),
    _maps(
        "several-tables-with-macros",
        "$my_tables static:rest/",
        mails=(Mail(recipients=(BOB, MBOX)),),
    ),
    Scenario(
        name="result-with-white-space",
        mailboxes={"bob@example.com": "with two  blanks/"},
    ),
    _maps(
        "result-empty",
        "inline:{bob@example.com=}",
        reason=_OWN_WORDS,
        expected={
            "log": configuration_error_log(
                _EMPTY,
                "virtual_mailbox_maps should return NO RESULT in case of NOT FOUND",
                f"table virtual_mailbox_maps: lookup bob@example.com: {_EMPTY}",
            )
        },
    ),
    Scenario(
        name="uid-result-empty",
        parameters={"virtual_uid_maps": "inline:{{bob@example.com=}}"},
    ),
    _maps("result-is-slash", "inline:{bob@example.com=/}"),
    _maps("result-absolute", "inline:{bob@example.com=/bob/}"),
    _maps("result-of-two-slashes", "inline:{bob@example.com=bob//}"),
    Scenario(
        name="table-changed",
        mails=(Mail(), Mail(before=_change_table), Mail()),
    ),
    Scenario(
        name="table-replaced",
        mails=(Mail(), Mail(before=_replace_table)),
    ),
)

SCENARIOS = (*_SEARCH, *_IDS, *_STRICT, *_TABLES)
