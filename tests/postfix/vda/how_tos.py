"""The users table of the how-tos: a quota of 10 MB by default, or NULL.

The text is in quotes, which are a part of it. Tables are named proxy:mysql:... and
listed in proxy_read_maps; or they have their parameters in main.cf, as of old.
"""

from __future__ import annotations

from tests.harness.databases import SECRET, MariaDB
from tests.harness.patched import (
    BOUNCES,
    DEFAULT_LIMIT,
    DEFERS,
    SORRY,
    Box,
    Patched,
    maildirs,
)
from tests.harness.shapes import Site

_SCHEMA = """
CREATE TABLE users (
    email varchar(80) PRIMARY KEY, password varchar(20) NOT NULL DEFAULT '!',
    quota int(10) DEFAULT '10485760');
INSERT INTO users (email) VALUES ('bob@example.com');
INSERT INTO users (email, quota) VALUES
    ('ann@example.com', NULL), ('joe@example.net', 20971520);
"""
_MAILBOXES = (
    "SELECT CONCAT(SUBSTRING_INDEX(email,'@',-1),'/',SUBSTRING_INDEX(email,'@',1),'/')"
    " FROM users WHERE email='%s'"
)
_BOXES = (
    Box("bob@example.com", "example.com/bob/", 10_485_760),
    Box("ann@example.com", "example.com/ann/", DEFAULT_LIMIT),
    Box("joe@example.net", "example.net/joe/", 20_971_520),
)
_PROXY_READ_MAPS = (
    "$local_recipient_maps $mydestination $virtual_alias_maps $virtual_alias_domains"
    " $virtual_mailbox_maps $virtual_mailbox_domains $relay_recipient_maps"
    " $relay_domains $canonical_maps $sender_canonical_maps $recipient_canonical_maps"
    " $relocated_maps $transport_maps $mynetworks $virtual_mailbox_limit_maps"
)
_QUOTED = '"The user you are trying to reach is over quota."'
_FULL = '"La boîte mail de votre destinataire est pleine, réessayez plus tard."'


def _users(it: Site) -> None:
    it.fill(_SCHEMA)
    maildirs(it, "example.com", "example.net")


def _limits(it: Site) -> str:
    return it.query(
        "mysql-virtual_mailbox_limit_maps.cf",
        "",
        table="users",
        select_field="quota",
        where_field="email",
    )


def _proxied(it: Site) -> None:
    _users(it)
    mailboxes = it.query("mysql-virtual_mailboxes.cf", _MAILBOXES)
    it.set(
        virtual_mailbox_maps=f"proxy:{mailboxes}",
        virtual_create_maildirsize="yes",
        virtual_maildir_extended="yes",
        virtual_mailbox_limit_maps=f"proxy:{_limits(it)}",
        virtual_mailbox_limit_override="yes",
        virtual_maildir_limit_message=_QUOTED,
        virtual_overquota_bounce="yes",
        proxy_read_maps=_PROXY_READ_MAPS,
    )


def _in_main_cf(it: Site) -> None:
    _users(it)
    assert isinstance(it.server, MariaDB)
    it.set(
        virtual_mailbox_maps=it.query("mysql-virtual_comptes.cf", _MAILBOXES),
        virtual_create_maildirsize="yes",
        virtual_mailbox_limit_maps="mysql:quotas",
        virtual_mailbox_limit_override="yes",
        virtual_maildir_limit_message=_FULL,
        virtual_overquota_bounce="yes",
        quotas_hosts=f"127.0.0.1:{it.server.port}",
        quotas_user="reader",
        quotas_password=SECRET,
        quotas_dbname=it.database,
        quotas_table="users",
        quotas_select_field="quota",
        quotas_where_field="email",
    )


def _inbox_only(it: Site) -> None:
    _users(it)
    it.set(
        virtual_mailbox_maps=it.query("mysql_mailbox.cf", _MAILBOXES),
        message_size_limit="20000000",
        virtual_create_maildirsize="yes",
        virtual_mailbox_limit_maps=_limits(it),
        virtual_mailbox_limit_inbox="yes",
        virtual_mailbox_limit_override="yes",
        virtual_maildir_limit_message=_QUOTED,
        virtual_overquota_bounce="yes",
        virtual_maildir_extended="yes",
    )


def _trash_counts(it: Site) -> None:
    _users(it)
    it.set(
        virtual_mailbox_maps=it.query("mysql_virtual_mailbox_maps.cf", _MAILBOXES),
        virtual_maildir_extended="yes",
        virtual_mailbox_limit_maps=_limits(it),
        virtual_mailbox_limit_override="yes",
        virtual_overquota_bounce="no",
        virtual_trash_count="yes",
    )


def _trash_elsewhere(it: Site) -> None:
    _trash_counts(it)
    it.set(virtual_trash_count="no", virtual_trash_name=".Deleted Messages")


def _below_messages(it: Site) -> None:
    """Without virtual_mailbox_limit_override, the default limit is used instead."""
    _trash_counts(it)
    it.set(
        message_size_limit="15000000",
        virtual_mailbox_limit="30000000",
        virtual_trash_count="no",
    )
    del it.parameters["virtual_mailbox_limit_override"]


def _boxes(
    *, limits: tuple[int, ...], folders: dict[str, tuple[str, ...]]
) -> list[Box]:
    return [
        Box(one.address, one.place, limit, **folders)
        for one, limit in zip(_BOXES, limits, strict=True)
    ]


_SENT, _TRASH, _DELETED = (
    f".{one}/cur/1.M1P1.elsewhere:2,S" for one in ("Sent", "Trash", "Deleted Messages")
)
_LIMITS = tuple(one.limit for one in _BOXES)

CONFIGURATIONS = (
    Patched(
        "a text in quotes and proxy:mysql",
        _proxied,
        _BOXES,
        BOUNCES,
        _QUOTED,
        has_sizes=True,
        server="mariadb",
    ),
    Patched(
        "the parameters of the table in main.cf",
        _in_main_cf,
        _BOXES,
        BOUNCES,
        _FULL,
        server="mariadb",
    ),
    Patched(
        "only the INBOX",
        _inbox_only,
        _boxes(
            limits=_LIMITS,
            folders={"counts": ("cur/1.M1P1.x:2,S",), "others": (_SENT, _TRASH)},
        ),
        BOUNCES,
        _QUOTED,
        has_sizes=True,
        keeps_count=False,
        server="mariadb",
    ),
    Patched(
        "with .Trash, and mail is deferred",
        _trash_counts,
        _boxes(limits=_LIMITS, folders={"counts": (_SENT, _TRASH), "others": ()}),
        DEFERS,
        SORRY,
        has_sizes=True,
        server="mariadb",
    ),
    Patched(
        "another name for .Trash",
        _trash_elsewhere,
        _boxes(limits=_LIMITS, folders={"counts": (_TRASH,), "others": (_DELETED,)}),
        DEFERS,
        SORRY,
        has_sizes=True,
        server="mariadb",
    ),
    Patched(
        "limits below that of a message",
        _below_messages,
        _boxes(limits=(30_000_000, 30_000_000, 20_971_520), folders={}),
        DEFERS,
        SORRY,
        has_sizes=True,
        server="mariadb",
        problems={"PV421": "warning"},
    ),
)
