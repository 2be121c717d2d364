from __future__ import annotations

import ctypes
import random
from collections.abc import Callable
from typing import Any

import pytest

from postvirt.config.parameters import Settings
from postvirt.delivery.folder_rules import FolderRules
from postvirt.delivery.resolve import Resolver
from postvirt.errors import TableError
from postvirt.model.mailbox import Folder, Mailbox, Misconfigured, Owner, Unknown
from postvirt.tables.maps import Maps
from postvirt.tables.search import Extensions
from postvirt.tables.simple.static import StaticTable
from postvirt.tables.table import Table, TableOptions
from tests.harness.child import Log
from tests.harness.tables import open_maps

MAILBOXES = "inline:{bob@example.com=bob/, mbox@example.com=dir/mbox, @catch.org=all/}"
OPTIONS = TableOptions(utf8=True, paranoid=True)
BOB = b"bob@example.com"

Read = Callable[..., Settings]


def maps(parameter: str, tables: str) -> Maps:
    return open_maps(parameter, tables, OPTIONS)


def value(parameter: str, data: bytes) -> Maps:
    """A list with one table that answers every key with these very bytes."""
    options = TableOptions(utf8=False)
    return Maps(parameter, (StaticTable("static", "value", options, data),))


def resolver(
    settings: Settings,
    *,
    mailboxes: str | bytes = MAILBOXES,
    uid: str | bytes = "static:5000",
    gid: str | bytes = "static:5001",
    is_local: Callable[[bytes], bool] = lambda _: False,
) -> Resolver:
    def table(parameter: str, tables: str | bytes) -> Maps:
        if isinstance(tables, bytes):
            return value(parameter, tables)
        return maps(parameter, tables)

    return Resolver(
        settings,
        table("virtual_mailbox_maps", mailboxes),
        table("virtual_uid_maps", uid),
        table("virtual_gid_maps", gid),
        Extensions.of(settings),
        is_local,
        folders=FolderRules(settings) if settings.postvirt_folders else None,
    )


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        (BOB, b"/mail/bob/"),
        (b"BoB@Example.COM", b"/mail/bob/"),
        (b"bob+lists@example.com", b"/mail/bob/"),
        (b"mbox@example.com", b"/mail/dir/mbox"),
        (b"anybody@catch.org", b"/mail/all/"),
    ],
)
def test_a_mailbox_is_base_slash_result(
    settings: Read, recipient: bytes, expected: bytes
) -> None:
    found = resolver(settings(recipient_delimiter="+")).resolve(recipient)
    assert found == Mailbox(expected, Owner(5000, 5001))
    assert isinstance(found, Mailbox)
    assert found.is_maildir == expected.endswith(b"/")


@pytest.mark.parametrize(
    ("recipient", "user"),
    [
        (b"Nobody@Example.com", b"nobody@example.com"),
        (b"BOB@other.example", b"bob@other.example"),
        ("ÄRGER@example.com".encode(), "ärger@example.com".encode()),
        (b"bob", b"bob"),
        (b"", b""),
    ],
)
def test_an_unknown_user_is_named_in_lower_case(
    settings: Read, recipient: bytes, user: bytes
) -> None:
    assert resolver(settings()).resolve(recipient) == Unknown(user)


def test_without_smtputf8_only_ascii_is_folded(settings: Read) -> None:
    found = resolver(settings(smtputf8_enable="no")).resolve("ÄB@x".encode())
    assert found == Unknown("Äb@x".encode())


def test_the_local_part_alone_counts_in_own_domains(settings: Read) -> None:
    asked = []

    def is_local(domain: bytes) -> bool:
        asked.append(domain)
        return domain == b"own.example"

    found = resolver(settings(), mailboxes="inline:{bob=bob/}", is_local=is_local)
    assert found.resolve(b"Bob@Own.example") == Mailbox(
        b"/mail/bob/", Owner(5000, 5001)
    )
    assert found.resolve(b"bob@other.example") == Unknown(b"bob@other.example")
    assert asked == [b"own.example", b"other.example"]


@pytest.mark.parametrize(
    ("recipient", "folder"),
    [
        (BOB, None),
        (b"bob+Work@example.com", Folder("Work", b".Work")),
        (b"BOB+Work@Example.com", Folder("Work", b".Work")),
        (b"bob-a+b@example.com", Folder("a+b", b".a+b")),
        ("bob+Grüße@example.com".encode(), Folder("Grüße", b".Gr&APwA3w-e")),
        (b"bob+spam@example.com", Folder("spam", b".spam", "Spam")),
        (b"bob+@example.com", None),
        (b"bob+a.b@example.com", None),
        (b"bob+\xff@example.com", None),
        (b"bob+Trash@example.com", None),
        (b"bob+inbox@example.com", None),
        (b"bob+own@example.com", None),
        (b"mbox+Work@example.com", None),
        (b"anybody+Work@catch.org", None),
    ],
)
def test_an_extension_names_a_folder(
    settings: Read, recipient: bytes, folder: Folder | None
) -> None:
    found = resolver(
        settings(
            recipient_delimiter="+-",
            postvirt_folders="yes",
            postvirt_create_folders="Spam",
            virtual_maildir_suffix="Maildir/",
        ),
        mailboxes=MAILBOXES.replace("{", "{bob+own@example.com=bob/, "),
    ).resolve(recipient)
    assert isinstance(found, Mailbox)
    assert found.folder == folder
    assert found.root == found.path
    assert found.path.endswith((b"/Maildir/", b"/mbox"))


def test_folders_are_off_by_default(settings: Read) -> None:
    found = resolver(settings(recipient_delimiter="+", postvirt_create_folders="*"))
    place = found.resolve(b"bob+Work@example.com")
    assert place == Mailbox(b"/mail/bob/", Owner(5000, 5001))


def test_uid_and_gid_are_searched_as_the_mailbox_is(settings: Read) -> None:
    found = resolver(
        settings(recipient_delimiter="+"),
        uid="inline:{@example.com=6000, bob@example.com=6001}",
        gid="inline:{@example.com=7000}",
    )
    place = found.resolve(b"bob+x@example.com")
    assert place == Mailbox(b"/mail/bob/", Owner(6001, 7000))


def test_an_owner_is_never_that_of_the_mailbox_before(settings: Read) -> None:
    """They may have the user or the group in common."""
    owners = {"a": (1, 1), "b": (1, 2), "c": (2, 2), "d": (2, 1), "e": (2, 1)}
    found = resolver(
        settings(virtual_minimum_uid="1"),
        mailboxes="inline:{" + ", ".join(f"{one}@x={one}/" for one in owners) + "}",
        uid="inline:{"
        + ", ".join(f"{one}@x={u}" for one, (u, _) in owners.items())
        + "}",
        gid="inline:{"
        + ", ".join(f"{one}@x={g}" for one, (_, g) in owners.items())
        + "}",
    )
    for one in "abcdeedcba":
        place = found.resolve(b"%b@x" % one.encode())
        assert place == Mailbox(b"/mail/%b/" % one.encode(), Owner(*owners[one]))


GOOD_NUMBERS = {
    b"100": 100,
    b"5000": 5000,
    b" 5000": 5000,
    b" \t\n\v\f\r5000": 5000,
    b"+5000": 5000,
    b" +5000": 5000,
    b"0005000": 5000,
    b"0" * 5000 + b"5000": 5000,
    b"2147483648": 2**31,
    b"4294967294": 2**32 - 2,
}
BAD_NUMBERS = (
    b"0",
    b"-0",
    b"-1",
    b"-5000",
    b"5000x",
    b"x5000",
    b"5000 ",
    b"5000\n",
    b"5000,",
    b"50 00",
    b"5_000",
    b"5000.0",
    b"5e3",
    b"0x1388",
    b"+",
    b"+-5000",
    b"++5000",
    b"+ 5000",
    b" ",
    b"4294967295",
    b"4294967296",
    b"4294972296",  # 5000 modulo 2**32
    b"18446744073709556616",  # 5000 modulo 2**64
    b"-18446744073709546616",  # Postfix 3.11 takes it for 5000
    b"18446744073709551615",
    b"5000\n5000",
    b"9" * 5000,
    "\N{ARABIC-INDIC DIGIT FIVE}000".encode(),
    b"\xff",
)


@pytest.mark.parametrize("number", GOOD_NUMBERS)
def test_a_uid_and_a_gid_are_whole_decimal_numbers(
    settings: Read, number: bytes
) -> None:
    found = resolver(settings(), uid=number, gid=number).resolve(BOB)
    expected = Owner(GOOD_NUMBERS[number], GOOD_NUMBERS[number])
    assert found == Mailbox(b"/mail/bob/", expected)


@pytest.mark.parametrize("number", [*BAD_NUMBERS, b"99", b"1"])
def test_a_bad_uid_is_a_mistake_in_the_table(settings: Read, number: bytes) -> None:
    found = resolver(settings(), uid=number).resolve(b"Bob@example.com")
    shown = number.decode("utf-8", "surrogateescape")
    assert found == Misconfigured(
        f"recipient bob@example.com: bad uid {shown} in virtual_uid_maps"
    )


@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_a_bad_gid_is_a_mistake_in_the_table(settings: Read, number: bytes) -> None:
    found = resolver(settings(), gid=number).resolve(b"Bob@example.com")
    shown = number.decode("utf-8", "surrogateescape")
    assert found == Misconfigured(
        f"recipient bob@example.com: bad gid {shown} in virtual_gid_maps"
    )


def as_postfix_3_12_reads_it(number: bytes) -> int | None:
    """What strtoul(3) makes of it, if Postfix 3.12 accepts that."""
    strtoul = ctypes.CDLL(None, use_errno=True).strtoul
    strtoul.restype = ctypes.c_ulong
    text = ctypes.create_string_buffer(number)
    end = ctypes.c_char_p()
    ctypes.set_errno(0)
    value: int = strtoul(text, ctypes.byref(end), 10)
    if end.value or ctypes.get_errno() or not 1 <= value < 2**32 - 1:
        return None
    return value


def test_numbers_are_read_as_postfix_3_12_reads_them(settings: Read) -> None:
    """But none with a minus, which strtoul() takes for 2**64 minus the number."""
    chance = random.Random(1)
    pieces = (b" ", b"\t", b"\v", b"+", b"0", b"00", b"5000", b"1", b"429496729", b"x")
    made = resolver(settings(virtual_minimum_uid="1"))
    for _ in range(3000):
        number = b"".join(chance.choices(pieces, k=chance.randint(1, 5)))
        found = made.using(uid_maps=value("virtual_uid_maps", number)).resolve(BOB)
        expected = as_postfix_3_12_reads_it(number)
        uid = found.owner.uid if isinstance(found, Mailbox) else None
        assert uid == expected, number


def test_the_minimum_is_for_the_uid_alone(settings: Read) -> None:
    strict = settings(virtual_minimum_uid="5000")
    assert resolver(strict, uid="static:5000", gid="static:1").resolve(BOB) == Mailbox(
        b"/mail/bob/", Owner(5000, 1)
    )
    assert isinstance(resolver(strict, uid="static:4999").resolve(BOB), Misconfigured)


@pytest.mark.parametrize("which", ["uid", "gid"])
def test_a_missing_owner_is_a_mistake_in_the_table(settings: Read, which: str) -> None:
    table: dict[str, Any] = {which: "inline:{other@example.com=5000}"}
    found = resolver(settings(), **table).resolve(BOB)
    assert found == Misconfigured(
        f"recipient bob@example.com: not found in virtual_{which}_maps"
    )


@pytest.mark.parametrize("which", ["uid", "gid"])
def test_an_empty_owner_is_a_mistake_in_the_table(
    settings: Read, which: str, logged: Log
) -> None:
    table: dict[str, Any] = {which: b""}
    found = resolver(settings(), **table).resolve(BOB)
    assert isinstance(found, Misconfigured)
    title = f"virtual_{which}_maps"
    assert logged.lines == [
        f"warning: {title} lookup of bob@example.com returns an empty string result",
        f"warning: {title} should return NO RESULT in case of NOT FOUND",
    ]


@pytest.mark.parametrize(
    ("base", "result", "path"),
    [
        ("/mail", b"bob", b"/mail/bob"),
        ("/mail/", b"bob/", b"/mail//bob/"),
        ("/mail", b"/bob/", b"/mail//bob/"),
        ("/mail", b"b o b/\xff", b"/mail/b o b/\xff"),
        ("/", b"bob", b"//bob"),
        ("/mail", b"a..b/", b"/mail/a..b/"),
        ("/mail", b"a/...", b"/mail/a/..."),
        ("/mail", b"..a/b", b"/mail/..a/b"),
        # No slash behind the last part: a directory, refused when it is opened.
        ("/mail", b"a/..", b"/mail/a/.."),
        # Only what comes from the table can climb.
        ("/mail/../mail", b"bob", b"/mail/../mail/bob"),
    ],
)
def test_a_path_is_taken_as_it_is(
    settings: Read, base: str, result: bytes, path: bytes
) -> None:
    found = resolver(settings(virtual_mailbox_base=base), mailboxes=result)
    assert found.resolve(BOB) == Mailbox(path, Owner(5000, 5001))


@pytest.mark.parametrize("base", ["/mail", "/mail/", "/"])
@pytest.mark.parametrize(
    "result", [b"../", b"../etc/passwd", b"/../x", b"a/../b", b"a/../", b"a/b/../../c"]
)
def test_a_path_that_climbs_is_a_mistake_in_the_table(
    settings: Read, base: str, result: bytes
) -> None:
    found = resolver(settings(virtual_mailbox_base=base), mailboxes=result)
    assert found.resolve(BOB) == Misconfigured(
        f"recipient bob@example.com: bad mailbox path {result.decode()} in "
        "virtual_mailbox_maps"
    )


def test_a_path_that_climbs_is_found_before_the_owner_is_looked_for(
    settings: Read, logged: Log
) -> None:
    found = resolver(settings(), mailboxes=b"../x", uid="nosuchtype:x", gid="static:0")
    assert found.resolve(BOB) == Misconfigured(
        "recipient bob@example.com: bad mailbox path ../x in virtual_mailbox_maps"
    )


class Broken(Table):
    """A table that cannot answer."""

    def find(self, key: bytes) -> bytes | None:
        raise TableError(f"no answer for {key!r}")


BROKEN = Broken("test", "broken", OPTIONS)


def test_a_mailbox_table_that_fails_does_not_make_a_user_unknown(
    settings: Read, logged: Log
) -> None:
    made = resolver(settings())
    failing = Maps("virtual_mailbox_maps", (BROKEN, *made.mailbox_maps.tables))
    broken = made.using(mailbox_maps=failing)
    found = broken.resolve(BOB)
    assert isinstance(found, Misconfigured)
    assert found.problem.startswith(
        "table virtual_mailbox_maps: lookup bob@example.com: "
    )
    assert logged.lines == ['warning: test:broken lookup error for "bob@example.com"']


def test_tables_before_the_one_that_fails_still_answer(settings: Read) -> None:
    made = resolver(settings())
    failing = Maps("virtual_mailbox_maps", (*made.mailbox_maps.tables, BROKEN))
    broken = made.using(mailbox_maps=failing)
    assert broken.resolve(BOB) == Mailbox(b"/mail/bob/", Owner(5000, 5001))


@pytest.mark.parametrize("which", ["uid_maps", "gid_maps"])
def test_an_owner_table_that_fails_is_a_mistake(
    settings: Read, which: str, logged: Log
) -> None:
    made = resolver(settings())
    failing = Maps(f"virtual_{which}", (BROKEN,))
    if which == "uid_maps":
        broken = made.using(uid_maps=failing)
    else:
        broken = made.using(gid_maps=failing)
    assert broken.resolve(BOB) == Misconfigured(
        f"recipient bob@example.com: not found in virtual_{which}"
    )
    assert len(logged.lines) == 1


@pytest.mark.parametrize(
    ("tables", "cause", "parameter", "value"),
    [
        ({"uid": b"many"}, "value", "virtual_uid_maps", b"many"),
        ({"gid": b"0"}, "value", "virtual_gid_maps", b"0"),
        ({"uid": "inline:{other@x=5000}"}, "absent", "virtual_uid_maps", b""),
        ({"gid": "fail:x"}, "lookup", "virtual_gid_maps", b""),
        ({"mailboxes": "fail:x"}, "lookup", "virtual_mailbox_maps", b""),
        ({"mailboxes": b"../x"}, "path", "virtual_mailbox_maps", b"../x"),
    ],
)
def test_a_mistake_says_what_it_is_about(
    settings: Read,
    tables: dict[str, Any],
    cause: str,
    parameter: str,
    value: bytes,
) -> None:
    found = resolver(settings(), **tables).resolve(BOB)
    assert isinstance(found, Misconfigured)
    assert (found.cause, found.parameter, found.value) == (cause, parameter, value)


def test_an_owner_that_is_the_same_for_all_is_looked_up_for_odd_addresses(
    settings: Read, logged: Log
) -> None:
    """The table complains about an address that is not UTF-8, and only about that."""
    catch_all = "inline:{@example.com=box/}"
    made = resolver(
        settings(), mailboxes=catch_all, uid="static:5000", gid="static:5001"
    )
    box = Mailbox(b"/mail/box/", Owner(5000, 5001))
    assert made.resolve("älice@example.com".encode()) == box
    assert made.resolve(BOB) == box
    assert logged.lines == []
    assert made.resolve(b"\xff@example.com") == box
    complaints = [line for line in logged.lines if "static:5000: non-UTF-8 key" in line]
    assert complaints


def test_an_owner_that_is_the_same_for_all_is_not_looked_up(
    settings: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = resolver(settings(), uid="static:5000", gid="static:5000")
    for maps in (made.uid_maps, made.gid_maps):
        (table,) = maps.tables
        monkeypatch.setattr(table, "find", lambda _: pytest.fail("it was looked up"))
    assert made.resolve(BOB) == Mailbox(b"/mail/bob/", Owner(5000, 5000))
