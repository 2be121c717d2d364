"""The search order, against mail_addr_find() of the genuine libraries."""

from __future__ import annotations

import itertools

import pytest

from postvirt.errors import TableError
from postvirt.tables.folding import fold
from postvirt.tables.local_domains import LocalDomains
from postvirt.tables.search import Extensions, find_address, find_entry
from postvirt.tables.table import TableOptions
from tests.harness.tables import open_maps, open_tables

LOCALS = (
    "user",
    "user+ext",
    "user+ext+more",
    "user-ext",
    "+ext",
    "user+",
    "us er",
    "us er+ext",
    'qu"ote',
    "back\\slash+x",
    ".dot",
    "a@b",
    "a@b+c",
    "",
    "postmaster+x",
    "mailer-daemon",
    "MAILER-DAEMON",
    "double-bounce",
    "owner-list",
    "list-request",
    "-request",
    "x-owner-y",
    "é+ext",
    "e",
)
DOMAINS = (
    "example.com",
    "sub.example.com",
    "LOCAL.test",
    "local.test",
    "origin.test",
    "origin.test.",
    "local.test.",
    "local.test..",
    "[127.0.0.1]",
    "[127.0.0.2]",
    "[IPv6:::1]",
    "[::1]",
    "[192.0.2.255]",
    "[192.0.2.300]",
    "dash-domain.test",
    "",
)
ADDRESSES = [
    f"{local}@{domain}".encode() for local, domain in itertools.product(LOCALS, DOMAINS)
] + [local.encode() for local in LOCALS if local]

# One table for each form that a search can end with.
TABLES = {
    "everything": "inline:{user@example.com=u, user+ext@example.com=ue, user=local,"
    " @sub.example.com=all}",
    "quoted": 'inline:{{"us er"@example.com = q}, {"us er" = lq},'
    ' {"qu\\"ote"@example.com = qq},'
    ' {".dot" = dot}, {"a@b" = at}, {a@b@example.com = at2}}',
    "domains": "inline:{@example.com=1, @local.test=2, @origin.test=3, @=4,"
    " @[127.0.0.1]=5}",
    "locals": "inline:{user=1, user+ext=2, e=3, postmaster=4, owner=5, list=6, é=7}",
    "special": "inline:{mailer@example.com=1, double@example.com=2,"
    " owner@example.com=3, list@example.com=4, postmaster@example.com=5}",
    "list": "inline:{user@example.com=first} static:rest",
    "broken first": "nonesuch:x inline:{user@example.com=u}",
    "broken last": "inline:{user@example.com=u} nonesuch:x",
    "empty value": "inline:{{user@example.com=}} static:rest",
    "none": "",
}
SETTINGS = {
    "plus": {"recipient_delimiter": "+"},
    "both": {"recipient_delimiter": "+-"},
    "lists are not special": {
        "recipient_delimiter": "-",
        "owner_request_special": "no",
    },
    "no delimiter": {"recipient_delimiter": ""},
    "ascii": {"recipient_delimiter": "-+", "smtputf8_enable": "no"},
}
COMMON = {
    "myorigin": "Origin.test",
    "mydestination": "Local.test, !sub.example.com, sub.example.com",
    "inet_interfaces": "all",
}


# Those of Postfix, and double_bounce_sender.
WHOLE_NAMES = frozenset((b"postmaster", b"mailer-daemon", b"double-bounce"))


@pytest.mark.postfix
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("tables", TABLES)
def test_search_finds_what_postfix_finds(postfix, logged, tables, setting):
    parameters = COMMON | SETTINGS[setting]
    postfix.configure(**parameters)
    utf8 = parameters.get("smtputf8_enable", "yes") == "yes"
    keys = [fold(address, utf8=utf8) for address in ADDRESSES]
    maps_text = TABLES[tables]
    expected, _ = postfix.ask("address", keys, maps=maps_text)

    options = TableOptions(utf8=utf8, paranoid=True)
    opened = open_tables()
    maps = open_maps("virtual_mailbox_maps", maps_text, options, opened)
    local = LocalDomains(
        myorigin=parameters["myorigin"],
        mydestination=parameters["mydestination"],
        inet_interfaces=parameters["inet_interfaces"],
        proxy_interfaces="",
        utf8=utf8,
        opened=opened,
    )

    extensions = Extensions(
        parameters["recipient_delimiter"].encode(),
        owner_request_special=parameters.get("owner_request_special") != "no",
        whole_names=WHOLE_NAMES,
    )

    def find(address: bytes) -> bytes | str | None:
        try:
            return find_address(maps, address, extensions, local.is_local)
        except TableError:
            return "error"

    for address, genuine in zip(keys, expected, strict=True):
        wanted = "error" if isinstance(genuine, int) else genuine
        assert find(address) == wanted, address


@pytest.mark.parametrize(
    ("address", "bare", "extension"),
    [
        (b"user+ext@example.com", b"user@example.com", b"ext"),
        (b"user+a-b+c@example.com", b"user@example.com", b"a-b+c"),
        (b"user-ext", b"user", b"ext"),
        (b"user@dash-domain.test", None, None),
        (b"+ext@example.com", None, None),
        (b"user+@example.com", b"user@example.com", b""),
        (b"user+ext@", b"user@", b"ext"),
        (b"mailer-daemon@example.com", None, None),
        (b"double-bounce@example.com", None, None),
        (b"owner-list@example.com", None, None),
        (b"list-request@example.com", None, None),
        (b"list-request+x@example.com", b"list@example.com", b"request+x"),
        (b"a@b+c@example.com", b"a@b@example.com", b"c"),
    ],
)
def test_an_extension_is_what_follows_the_first_delimiter(address, bare, extension):
    extensions = Extensions(b"+-", owner_request_special=True, whole_names=WHOLE_NAMES)
    assert extensions.without(address) == bare
    assert extensions.extension(address) == extension


def test_no_delimiter_means_no_extension():
    for delimiter in (b"", b"%"):
        extensions = Extensions(delimiter, owner_request_special=True)
        assert extensions.without(b"user+ext@example.com") is None
        assert extensions.extension(b"user+ext@example.com") is None


@pytest.mark.parametrize(
    ("address", "found"),
    [
        (b"user@example.com", (b"1", False)),
        (b"user+ext@example.com", (b"1", True)),
        (b"user+own@example.com", (b"2", False)),
        (b"local+ext@local.test", (b"3", True)),
        (b"local+own@local.test", (b"4", False)),
        (b"other+ext@example.com", (b"5", False)),
        (b"other+ext@local.test", (None, False)),
        (b"local+ext", (b"3", True)),
        (b"other+ext", (None, False)),
    ],
)
def test_an_entry_is_that_of_the_address_without_its_extension_or_not(address, found):
    maps = open_maps(
        "virtual_mailbox_maps",
        "inline:{user@example.com=1, user+own@example.com=2, local=3, local+own=4,"
        " @example.com=5}",
        TableOptions(utf8=True, paranoid=True),
        open_tables(),
    )
    extensions = Extensions(b"+", owner_request_special=True)
    local = b"local.test".__eq__
    assert find_entry(maps, address, extensions, local) == found
