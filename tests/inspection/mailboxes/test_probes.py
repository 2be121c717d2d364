"""Which addresses are tried in tables that cannot be listed, and how many."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from postvirt.inspection.mailboxes.probes import MOST_PROBES, Probes
from postvirt.inspection.problem import Problem
from tests.harness.installations import Installation, problems_of, subject_of


def tried(
    installation: Installation,
    domains: Sequence[bytes] = (b"example.com",),
    most: int = 1000,
) -> list[bytes]:
    """The addresses, until there are so many."""
    seen: list[bytes] = []

    def show(address: bytes) -> bool:
        seen.append(address)
        return len(seen) < most

    ours = Probes(
        subject_of(installation), domains, lambda one: not one.endswith(b".net"), None
    )
    ours.show(show)
    return seen


def test_usual_names_come_first(installation: Installation) -> None:
    domains = [b"example.com", b"example.org"]
    assert tried(installation, domains, 2) == [b"postmaster@" + one for one in domains]


def test_directories_and_tables_tell_of_addresses(installation: Installation) -> None:
    for path in ("example.com/ann", "bob@example.org", "example.org/carol@example.org"):
        (installation.mail / path).mkdir(parents=True)
    (installation.mail / "example.net/dan").mkdir(parents=True)
    table = installation.table("t", {"Eve@example.com": "fay@example.com,x", "@a": "b"})
    installation.set(virtual_alias_maps=f"{table}, mysql:/nowhere.cf")
    seen = tried(installation)
    for name in (b"ann", b"eve", b"fay"):
        assert name + b"@example.com" in seen
    for name in (b"bob", b"carol"):
        assert name + b"@example.org" in seen
    assert not any(one.endswith((b".net", b"@a")) for one in seen)
    assert len(seen) == len(set(seen))


def test_domains_are_found_where_there_is_no_list(installation: Installation) -> None:
    installation.set(mydomain="example.org", myhostname="mail.example.org")
    (installation.mail / "example.com").mkdir()
    seen = tried(installation, ())
    for domain in (b"example.com", b"example.org", b"mail.example.org"):
        assert b"postmaster@" + domain in seen


def test_the_number_is_limited(installation: Installation) -> None:
    for number in range(200):
        (installation.mail / f"example.com/u{number}").mkdir(parents=True)
        (installation.mail / f"d{number}.example.com/u").mkdir(parents=True)
    uids = {f"u{n}@d{n}.example.com": "5000" for n in range(200)}
    installation.set(virtual_uid_maps=installation.table("uids", uids))
    domains = [b"d%d.example.com" % number for number in range(1000)]
    assert len(tried(installation, domains)) <= MOST_PROBES


def test_the_time_is_limited(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 5))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    assert len(tried(installation)) == 4


def test_an_answer_may_end_it(installation: Installation) -> None:
    assert len(tried(installation, most=1)) == 1


@pytest.mark.root
def test_a_table_that_fails_is_asked_no_more(installation: Installation) -> None:
    installation.set(virtual_mailbox_maps="fail:always")
    found = problems_of(installation)
    assert "for 1 of 1 address tried" in _note(found).text
    assert [one.code for one in found if one.severity == "error"] == ["PV216"]


@pytest.mark.root
def test_what_was_tried_is_said(installation: Installation) -> None:
    installation.set(virtual_mailbox_maps="regexp:{{/^(info|office)@/ boxes/}}")
    assert "for 2 of 15 addresses tried" in _note(problems_of(installation)).text


@pytest.mark.root
def test_there_may_be_nothing_to_try(installation: Installation) -> None:
    patterns = "regexp:{{/example[.]net/ x}}"
    installation.set(
        virtual_mailbox_maps="regexp:{{/x/ x/}}", virtual_mailbox_domains=patterns
    )
    assert "no address is known to try" in _note(problems_of(installation)).text


def _note(found: Sequence[Problem]) -> Problem:
    [note] = [one for one in found if one.code == "PV209"]
    return note
