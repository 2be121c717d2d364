"""Owners that a mailbox cannot have."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from tests.harness.installations import Broken, Change, Installation, Sound

BOB = "bob@example.com"
BOTH = (BOB, "mbox@example.com")


def _uids(it: Installation, **values: str) -> None:
    entries = {f"{name}@example.com": value for name, value in values.items()}
    it.set(virtual_uid_maps=it.table("uids", entries))


def uid_by_name(it: Installation) -> None:
    it.set(virtual_uid_maps="static:daemon")


def uid_in_words(it: Installation) -> None:
    _uids(it, bob="five-thousand", mbox="5000")


def uid_of_a_system_account(it: Installation) -> None:
    it.set(virtual_uid_maps="static:8")


def uid_of_root(it: Installation) -> None:
    _uids(it, bob="0", mbox="5000")


def uid_too_large(it: Installation) -> None:
    it.set(virtual_uid_maps="static:4294967295")


def gid_of_root(it: Installation) -> None:
    it.set(virtual_gid_maps="static:0")


def gid_by_name(it: Installation) -> None:
    it.set(virtual_gid_maps="static:vmail")


def no_uid(it: Installation) -> None:
    _uids(it, mbox="5000")


def no_gid(it: Installation) -> None:
    it.set(virtual_gid_maps=it.table("gids", {BOB: "5000"}))


def uids_by(key: str, value: str = "5000") -> Change:
    """A table with nothing but this key."""
    return lambda it: it.set(virtual_uid_maps=it.table("uids", {key: value}))


def uids_and_5000(key: str, value: str = "5001") -> Change:
    """A key with another uid than all others have."""

    def change(it: Installation) -> None:
        it.mail.chmod(0o1777)
        it.mailboxes({BOB: "bob/"})
        uids = it.table("uids", {key: value})
        it.set(virtual_uid_maps=f"{uids}, static:5000")

    return change


def gids_in_sql(where: str) -> Change:
    """A database of domains."""

    def change(it: Installation) -> None:
        path = it.etc / "gids.sqlite"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("CREATE TABLE gids (domain TEXT, gid INTEGER)")
            database.execute("INSERT INTO gids VALUES ('example.com', 5000)")
        table = it.etc / "gids.cf"
        table.write_text(f"dbpath = {path}\nquery = SELECT gid FROM gids {where}\n")
        for one in (path, table):
            one.chmod(0o644)
        it.set(virtual_gid_maps=f"sqlite:{table}")

    return change


def one_mailbox_of_two(it: Installation) -> None:
    it.mailboxes({BOB: "shared/", "ann@example.com": "//shared/"})
    _uids(it, bob="5000", ann="5001")


def climbing_out(it: Installation) -> None:
    it.mailboxes({BOB: "../../home/bob/", "ann@example.com": "ann/"})


def without_an_account(it: Installation) -> None:
    it.set(virtual_uid_maps="static:5000")


BROKEN = (
    Broken(
        "a uid by name",
        "PV210",
        uid_by_name,
        lambda it: it.set(virtual_uid_maps="static:5000"),
        says=['"daemon" is not a uid', "is the uid of daemon", "2 mailboxes"],
    ),
    Broken(
        "a uid in words",
        "PV210",
        uid_in_words,
        lambda it: _uids(it, bob="5000", mbox="5000"),
        says=["1 mailbox (bob@example.com)", "write the uid as a number"],
    ),
    Broken(
        "a uid that is too large",
        "PV210",
        uid_too_large,
        lambda it: it.set(virtual_uid_maps="static:5000"),
    ),
    Broken(
        "the uid of a system account",
        "PV211",
        uid_of_a_system_account,
        lambda it: it.set(virtual_uid_maps="static:5000"),
        says=["uid 8 is below virtual_minimum_uid = 100"],
    ),
    Broken(
        "the uid of a system account that may own mail",
        "PV211",
        uid_of_a_system_account,
        lambda it: it.set(virtual_minimum_uid="8"),
    ),
    Broken(
        "the uid of root",
        "PV211",
        uid_of_root,
        lambda it: _uids(it, bob="5000", mbox="5000"),
    ),
    Broken(
        "the gid of root",
        "PV212",
        gid_of_root,
        lambda it: it.set(virtual_gid_maps="static:5000"),
    ),
    Broken(
        "the gid of a group that is as good as root's",
        "PV212",
        lambda it: it.set(virtual_gid_maps=f"static:{os.stat('/etc/shadow').st_gid}"),
        lambda it: it.set(virtual_gid_maps="static:5000"),
        says=["it may read or write /etc/"],
    ),
    Broken(
        "a gid by name",
        "PV210",
        gid_by_name,
        lambda it: it.set(virtual_gid_maps="static:5000"),
        says=['"vmail" is not a gid'],
    ),
    Broken(
        "a mailbox without uid",
        "PV213",
        no_uid,
        lambda it: it.set(virtual_uid_maps=f"texthash:{it.etc}/uids, static:5000"),
        says=["not found in virtual_uid_maps: 1 mailbox (bob@example.com)"],
    ),
    Broken(
        "a mailbox without gid",
        "PV213",
        no_gid,
        lambda it: it.table("gids", dict.fromkeys(BOTH, "5000")),
        says=["not found in virtual_gid_maps: 1 mailbox (mbox@example.com)"],
    ),
    Broken(
        "uids by domain without @",
        "PV213",
        uids_by("example.com"),
        uids_by("@example.com"),
        says=[
            "not found in virtual_uid_maps: 2 mailboxes",
            "contain example.com, but keys for this mail are bob@example.com and @exam",
            "write @example.com instead of example.com",
        ],
    ),
    Broken(
        "uids of all addresses of a domain",
        "PV213",
        lambda it: it.set(
            virtual_uid_maps=it.table("uids", {"*@example.com": "1", "a@b.org": "2"})
        ),
        uids_by("@example.com"),
        says=["write @example.com instead of *@example.com"],
    ),
    Broken(
        "uids by user",
        "PV213",
        lambda it: it.set(
            virtual_uid_maps=it.table("uids", {"bob": "5000", "mbox": "5000"})
        ),
        lambda it: _uids(it, bob="5000", mbox="5000"),
        says=["write bob@example.com instead of bob"],
    ),
    Broken(
        "a uid for all of a domain that is not used",
        "PV115",
        uids_and_5000("example.com"),
        uids_and_5000("@example.com"),
        severity="warning",
        says=[
            "example.com is never looked up, so another uid is used: 1 mailbox (bob",
            "write @example.com instead of example.com",
        ],
    ),
    Broken("a uid by account", "PV213", uids_by("vmail"), says=["static:5000"]),
    Broken("a uid of all", "PV213", uids_by("*"), says=["static:5000"]),
    Broken(
        "gids by domain in a database",
        "PV213",
        gids_in_sql("WHERE domain = '%s'"),
        gids_in_sql("WHERE domain = '%d'"),
        says=["compare a column with the domain, %d, and not with %s"],
    ),
    Broken(
        "an equals sign before a uid",
        "PV210",
        uids_by("@example.com", "= 5000"),
        uids_by("@example.com"),
        says=["write only the number: 5000"],
    ),
    Broken(
        "a comment behind a uid",
        "PV210",
        uids_by("@example.com", "5000 # vmail"),
        uids_by("@example.com"),
        says=["write only the number: 5000; a comment has a line of its own"],
    ),
    Broken(
        "a mailbox of two owners",
        "PV215",
        one_mailbox_of_two,
        lambda it: _uids(it, bob="5000", ann="5000"),
        severity="warning",
        says=["{root}/mail/shared/ of ann@example.com and bob@example.com"],
    ),
    Broken(
        "a path that climbs out",
        "PV207",
        climbing_out,
        lambda it: it.mailboxes({BOB: "home/bob/"}),
        says=["1 mailbox (bob@example.com)"],
    ),
    Broken(
        "a uid without an account",
        "PV214",
        without_an_account,
        lambda it: it.set(virtual_uid_maps="static:65534", virtual_gid_maps="static:8"),
        severity="info",
    ),
)


def owners_of_their_own(it: Installation) -> None:
    it.mail.chmod(0o1777)
    it.mailboxes({BOB: "bob/", "ann@example.com": "ann/", "both@example.com": "bob/"})
    _uids(it, bob="5001", ann="5002", both="5001")


def owners_by_domain(it: Installation) -> None:
    it.set(virtual_uid_maps=it.table("uids", {"@example.com": "5000"}))


def quoted_and_extended(it: Installation) -> None:
    it.set(recipient_delimiter="+")
    it.mailboxes(
        {'"bob smith"@example.com': "smith/", "bob+lists@example.com": "lists/"}
    )
    it.set(virtual_uid_maps=it.table("uids", {"@example.com": "5000"}))


SOUND = (
    Sound("a domain with the uid of all", uids_and_5000("example.com", "5000")),
    Sound("a domain without mailboxes with a uid", uids_and_5000("example.org")),
    Sound("owners of their own", owners_of_their_own),
    Sound("owners by domain", owners_by_domain),
    Sound("quoted and extended addresses", quoted_and_extended),
)
