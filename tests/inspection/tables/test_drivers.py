"""Drivers that an answer can crash, or that reveal a password."""

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
        assert problem.severity == "info"


@pytest.fixture
def exposed(installation: Installation, monkeypatch):
    """The texts of the problems with a pgsql: table, with this version of libpq."""

    def look(parameters: str, version: int) -> list[str]:
        pq = pytest.importorskip("psycopg.pq")
        table = installation.etc / "table.cf"
        table.write_text(f"query = SELECT 1\n{parameters}\n")
        installation.set(virtual_mailbox_maps=f"pgsql:{table}")
        monkeypatch.setattr(pq, "version", lambda: version)
        found = list(drivers.check_drivers(subject_of(installation)))
        assert all(
            (one.code, one.parameter) == ("PV120", "virtual_mailbox_maps")
            for one in found
        )
        is_local = [" to localhost if " in one.text for one in found]
        assert [one.severity == "info" for one in found] == is_local
        assert all("s3cret" not in f"{one.text}{one.remedy}" for one in found)
        return [one.text.partition(": ")[2] for one in found]

    return look


ACCOUNT = "user = reader\npassword = s3cret\n"


@pytest.mark.parametrize(
    ("parameters", "hosts"),
    [
        (f"{ACCOUNT}dbname = mail", "localhost"),
        (f"{ACCOUNT}dbname = mail\nhosts = db1 unix:/run db2:77", "db1 and db2:77"),
        (f"{ACCOUNT}dbname = dbname=mail sslmode=prefer", "localhost"),
        (f"{ACCOUNT}dbname = mail\nhosts = /run db1", "db1"),
        ("hosts = postgresql://reader:s3cret@db1/mail", "postgresql://db1"),
        ("hosts = postgresql://r:s3cret@/mail?hostaddr=192.0.2.1", "postgresql://"),
    ],
)
def test_an_old_libpq_reveals_a_password(exposed, parameters: str, hosts: str) -> None:
    text = f"libpq 15 sends the password in clear text to {hosts} if asked to"
    assert exposed(parameters, 150_005) == [text]
    assert exposed(parameters, 160_000) == []


def test_all_tables_of_a_server_are_one_problem(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq = pytest.importorskip("psycopg.pq")
    monkeypatch.setattr(pq, "version", lambda: 150_005)
    tables = []
    for name, host in (("a", "db1"), ("b", "db1"), ("c", "127.0.0.1")):
        path = installation.etc / f"{name}.cf"
        path.write_text(f"query = SELECT 1\n{ACCOUNT}dbname = x\nhosts = {host}\n")
        tables.append(f"pgsql:{path}")
    installation.set(virtual_mailbox_maps=", ".join(tables))
    found = list(drivers.check_drivers(subject_of(installation)))
    assert [one.severity for one in found] == ["warning", "info"]
    assert f"{tables[0]}, {tables[1]}: " in found[0].text


@pytest.mark.parametrize(
    "parameters",
    [
        "user = reader\ndbname = mail",
        f"{ACCOUNT}dbname = dbname=mail sslmode=verify-full",
        f"{ACCOUNT}dbname = dbname=mail sslmode=verify-ca",
        f"{ACCOUNT}dbname = mail\nhosts = unix:/run /var/run",
        "hosts = postgresql://reader:s3cret@/mail",
        f"{ACCOUNT}dbname = mail\nhosts = db1\nretry_interval = never",
    ],
    ids=["no-password", "verify-full", "verify-ca", "sockets", "uri", "unusable"],
)
def test_what_an_old_libpq_cannot_reveal(exposed, parameters: str) -> None:
    assert exposed(parameters, 150_005) == []
