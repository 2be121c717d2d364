"""Drivers that an answer can crash."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from postvirt.inspection.tables import drivers
from tests.harness.installations import Installation, subject_of


def missing(name: str) -> str:
    raise PackageNotFoundError(name)


@pytest.mark.parametrize(
    ("type_", "version", "codes"),
    [
        ("ldap", lambda _: "3.4.4", ["PV119"]),
        ("ldap", lambda _: "3.4.8", []),
        ("ldap", lambda _: "4.0", []),
        ("ldap", lambda _: "unknown", []),
        ("ldap", missing, []),
        ("texthash", lambda _: "3.4.4", []),
    ],
    ids=["old", "safe", "newer", "unknown", "missing", "no-ldap"],
)
def test_a_malformed_answer_must_not_crash_the_driver(
    type_, version, codes, installation: Installation, monkeypatch
):
    table = installation.etc / "table.cf"
    table.write_text("server_host = ldap://127.0.0.1\nsearch_base = dc=example\n")
    installation.set(virtual_mailbox_maps=f"{type_}:{table}, {type_}:{table}.other")
    subject = subject_of(installation)
    monkeypatch.setattr(drivers, "version", version)
    found = list(drivers.check_drivers(subject))
    assert [one.code for one in found] == codes
    for problem in found:
        assert "python-ldap 3.4.4" in problem.text
        assert problem.parameter == "virtual_mailbox_maps"
