"""Every table type, lists of tables, and tables that cannot be used."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from postvirt.standin.instance import Instance
from postvirt.standin.queue_file import QueueFile
from tests.comparison.scenarios.expectations import configuration_error_log, log, sent
from tests.harness.scenario import BOB, MAILBOXES, MBOX, NOBODY, Mail, Scenario, to


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


_OWN_WORDS = "Reason of a failed lookup"


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
        differs=_OWN_WORDS,
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
        differs=_OWN_WORDS,
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
        differs=_OWN_WORDS,
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

SCENARIOS = _TABLES
