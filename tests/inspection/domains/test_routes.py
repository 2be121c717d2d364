"""Where mail for a domain goes, and what keeps that from being known."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from postvirt.inspection.domains import routes as routes_module
from postvirt.inspection.domains.routes import Routes
from postvirt.tables.open_tables import OpenTables
from tests.harness.child import Log
from tests.harness.installations import Installation, subject_of

MAILBOXES, LOCAL, RELAY = "virtual_mailbox_domains", "mydestination", "relay_domains"

Make = Callable[..., Routes]


@pytest.fixture
def routes(installation: Installation, logged: Log) -> Make:
    """The routes of a sound installation with these parameters over it."""

    def make(**parameters: str) -> Routes:
        installation.set(**parameters)
        subject = subject_of(installation)
        return Routes(subject, OpenTables(subject.tables))

    return make


def broken(installation: Installation, name: str) -> str:
    """A table that can be opened, and fails when it is asked."""
    path = installation.etc / name
    path.write_text("dbpath = /nowhere/at/all\nquery = SELECT 1\n")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return f"sqlite:{path}"


def test_a_domain_may_be_in_several_lists(routes: Make) -> None:
    made = routes(mydestination="example.com", relay_domains="example.com")
    assert made.lists_of(b"example.com") == (LOCAL, MAILBOXES, RELAY)
    assert made.lists_of(b"example.org") == ()
    assert made.failures == {}


def test_a_list_that_fails_contains_nothing_and_is_reported_once(
    routes: Make, installation: Installation, logged: Log
) -> None:
    made = routes(relay_domains=broken(installation, "relay"))
    for _ in range(2):
        for domain in (b"example.com", b"example.org"):
            expected = (MAILBOXES,) if domain == b"example.com" else ()
            assert made.lists_of(domain) == expected
    assert list(made.failures) == [RELAY]
    # What was found out is remembered.
    asked = [line for line in logged.lines if "table lookup problem" in line]
    assert len(asked) == 2


def test_what_is_remembered_does_not_grow_for_ever(
    routes: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_module, "_MOST_REMEMBERED", 2)
    made = routes()
    for number in range(5):
        assert made.lists_of(b"d%d.example.com" % number) == ()
        assert len(made._remembered) <= 2
    assert made.lists_of(b"example.com") == (MAILBOXES,)


@pytest.mark.parametrize(
    ("parameters", "comes_here"),
    [
        ({}, True),
        ({"virtual_transport": "lmtp:unix:private/dovecot-lmtp"}, False),
        # A transport that cannot be evaluated is reported with its parameter.
        (
            {
                "virtual_mailbox_domains": "example.org",
                "default_transport": "virtual:${no_brace",
            },
            False,
        ),
        ({"transport_maps": "inline:{example.com=smtp:[127.0.0.1]}"}, False),
        ({"transport_maps": "inline:{example.com=:[127.0.0.1]}"}, True),
        (
            {
                "transport_maps": "static:virtual",
                "virtual_transport": "lmtp:unix:private/dovecot-lmtp",
            },
            True,
        ),
        # local(8) receives it, and may hand it on.
        ({"mydestination": "example.com"}, False),
        ({"mydestination": "example.com", "mailbox_transport": "virtual"}, True),
        ({"mydestination": "example.com", "fallback_transport": "virtual:"}, True),
        ({"mydestination": "example.com", "fallback_transport": "lmtp:x"}, False),
        ({"mailbox_transport": "virtual", "virtual_transport": "lmtp:x"}, False),
        # Where only aliases receive mail, no transport is asked.
        (
            {
                "virtual_alias_domains": "example.com",
                "transport_maps": "static:virtual",
            },
            False,
        ),
    ],
)
def test_mail_comes_here_by_the_transport_of_its_domain(
    parameters: dict[str, str], comes_here: bool, routes: Make
) -> None:
    service = "virtual"
    made = routes(**parameters)
    made._services = {service}
    assert made.comes_here(b"example.com") is comes_here
    assert made.failures == {}


def test_transport_maps_that_fail_change_nothing_and_are_reported(
    routes: Make, installation: Installation
) -> None:
    made = routes(transport_maps=broken(installation, "transport"))
    made._services = {"virtual"}
    assert made.comes_here(b"example.com")
    assert not made.comes_here(b"example.org")
    assert list(made.failures) == ["transport_maps"]


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({}, []),
        ({"default_transport": "virtual:"}, ["default_transport"]),
        ({"fallback_transport": "virtual"}, ["fallback_transport"]),
        ({"relay_transport": "virtual-too"}, []),
    ],
)
def test_the_other_parameters_that_lead_here(
    parameters: dict[str, str], names: list[str], routes: Make
) -> None:
    made = routes(**parameters)
    made._services = {"virtual"}
    assert made.other_transports() == names


def test_the_entries_of_transport_maps_that_lead_here(
    routes: Make, installation: Installation
) -> None:
    entries = {"example.com": "virtual:", "a@example.org": "virtual", "*": "smtp:"}
    table = installation.table("transport", entries)
    made = routes(transport_maps=f"{table}, static:virtual")
    made._services = {"virtual"}
    assert made.transport_keys() == [b"example.com", b"a@example.org"]
    assert made.unlisted_transports() == ["static:virtual"]


@pytest.mark.parametrize(
    ("parameters", "address", "transport"),
    [
        ({}, b"bob@example.com", ""),
        (
            {"transport_maps": "inline:{example.com=lmtp:x}"},
            b"bob@example.com",
            "lmtp:x",
        ),
        (
            {"transport_maps": "inline:{bob@example.com=lmtp:x}"},
            b"bob@example.com",
            "lmtp:x",
        ),
        ({"transport_maps": "inline:{bob@example.com=lmtp:x}"}, b"ann@example.com", ""),
        ({"transport_maps": "inline:{example.com=virtual:}"}, b"bob@example.com", ""),
        # In no list: there is nothing to take away.
        ({"transport_maps": "static:lmtp:x"}, b"bob@example.org", ""),
        (
            {"transport_maps": "static:lmtp:x", "virtual_transport": "lmtp:y"},
            b"bob@example.com",
            "",
        ),
    ],
)
def test_what_transport_maps_takes_away(
    parameters: dict[str, str], address: bytes, transport: str, routes: Make
) -> None:
    made = routes(**parameters)
    made._services = {"virtual"}
    assert made.taken_away(address) == transport
    assert made.taken_away(address) == transport


def test_the_listed_domains_are_those_of_patterns_and_tables(
    routes: Make, installation: Installation
) -> None:
    table = installation.table(
        "domains",
        {
            "table.example.org": "x",
            "Never.Found.example.org": "x",
            "bob@example.org": "x",
            "nodot": "x",
        },
    )
    made = routes(virtual_mailbox_domains=f"Example.com, !not.example.org, {table}")
    assert made.listed() == ([b"example.com", b"table.example.org"], True)


def test_a_domain_that_an_earlier_item_excludes_is_not_listed(routes: Make) -> None:
    made = routes(virtual_mailbox_domains="!example.com, example.com, example.org")
    assert made.listed() == ([b"example.org"], True)


@pytest.mark.parametrize("table", ["static:x", "regexp:{{/./ x}}"])
def test_a_table_without_a_list_of_its_keys_leaves_the_rest_unknown(
    table: str, routes: Make
) -> None:
    made = routes(virtual_mailbox_domains=f"example.com, {table}")
    assert made.listed() == ([b"example.com"], False)


def test_of_a_large_table_the_first_domains_are_listed(
    routes: Make, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"d{number}.example.org" for number in range(10)]
    table = installation.table("domains", dict.fromkeys(names, "x"))
    made = routes(virtual_mailbox_domains=table)
    monkeypatch.setattr(routes_module, "_MOST_REMEMBERED", 3)
    domains, is_all = made.listed()
    assert (len(domains), is_all) == (3, False)
    assert set(domains) <= {name.encode() for name in names}


def test_a_table_that_fails_has_no_domains(
    routes: Make, installation: Installation
) -> None:
    table = broken(installation, "domains")
    made = routes(virtual_mailbox_domains=f"{table}, example.com")
    domains, _ = made.listed()
    assert domains == []  # the table comes first, so nothing is known
    assert list(made.failures) == [MAILBOXES]


def test_a_list_that_cannot_be_read_has_no_domains(routes: Make) -> None:
    made = routes(virtual_mailbox_domains="!, example.com")
    assert made.listed() == ([], False)
    assert made.failures == {MAILBOXES: f"{MAILBOXES}: no pattern after '!'"}
