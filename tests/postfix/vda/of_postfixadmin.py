"""PostfixAdmin's database: quotas in bytes, 0 for none, a negative number for others.

Its documentation had these lines until 2019, with one name that no version of the patch
knows: virtual_mailbox_extended. So the names of messages do not contain their sizes.
"""

from __future__ import annotations

from tests.harness.patched import (
    BOUNCES,
    DEFAULT_LIMIT,
    SORRY,
    Box,
    Patched,
    maildirs,
)
from tests.harness.shapes import Site

_SCHEMA = """
CREATE TABLE mailbox (
    username varchar(255) PRIMARY KEY, maildir varchar(255) NOT NULL,
    quota bigint NOT NULL DEFAULT 0, active {flag} NOT NULL);
INSERT INTO mailbox (username, maildir, quota, active) VALUES
    ('bob@example.com', 'example.com/bob/', 10240000, {yes}),
    ('small@example.com', 'example.com/small/', 100000, {yes}),
    ('ann@example.com', 'example.com/ann/', 0, {yes}),
    ('other@example.com', 'example.com/other/', -1, {yes});
"""
_BOXES = (
    Box("bob@example.com", "example.com/bob/", 10_240_000),
    Box("small@example.com", "example.com/small/", 100_000),
    Box("ann@example.com", "example.com/ann/", 0),
    Box("other@example.com", "example.com/other/", DEFAULT_LIMIT),
)
_EXTENDED = {"PV003": "warning"}


def _block(it: Site, limits: str) -> None:
    it.set(
        virtual_mailbox_limit="51200000",
        virtual_create_maildirsize="yes",
        virtual_mailbox_extended="yes",
        virtual_mailbox_limit_maps=limits,
        virtual_mailbox_limit_override="yes",
        virtual_maildir_limit_message=SORRY,
        virtual_overquota_bounce="yes",
    )


def _mysql(it: Site) -> None:
    it.fill(_SCHEMA.format(flag="tinyint(1)", yes=1))
    maildirs(it)

    def table(name: str, column: str) -> str:
        return it.query(
            f"mysql_virtual_{name}.cf",
            "",
            table="mailbox",
            select_field=column,
            where_field="username",
            additional_conditions="and active = '1'",
        )

    it.set(
        virtual_mailbox_maps=table("mailbox_maps", "maildir"),
        virtual_minimum_uid="5000",
    )
    _block(it, table("mailbox_limit_maps", "quota"))


def _pgsql(it: Site) -> None:
    it.fill(_SCHEMA.format(flag="boolean", yes="true"))
    maildirs(it)

    def table(name: str, column: str) -> str:
        return it.query(
            f"pgsql/virtual_{name}.cf",
            f"SELECT {column} FROM mailbox WHERE username='%s'",
        )

    it.set(
        virtual_mailbox_maps="proxy:" + table("mailbox_maps", "maildir"),
        proxy_read_maps="$virtual_mailbox_maps $virtual_mailbox_limit_maps",
    )
    _block(it, "proxy:" + table("mailbox_limits", "quota"))


def _joined(it: Site) -> None:
    """Plesk's database: a local part and a domain in two tables."""
    it.fill(
        """
        CREATE TABLE domains (id int PRIMARY KEY, name varchar(255));
        CREATE TABLE mail (
            mail_name varchar(245), domain_id int, place varchar(255), quota bigint);
        INSERT INTO domains VALUES (1, 'example.com');
        INSERT INTO mail VALUES ('bob', 1, 'example.com/bob/', 20480000),
            ('ann', 1, 'example.com/ann/', -1);
        """
    )
    maildirs(it)

    def table(name: str, column: str) -> str:
        return it.query(
            f"mysql/{name}.cf",
            f"SELECT mail.{column} FROM domains, mail WHERE mail.domain_id = domains.id"
            " AND mail.mail_name='%u' AND domains.name='%d'",
        )

    it.set(virtual_mailbox_maps=table("mailbox_maps", "place"))
    _block(it, table("mailbox_limit_maps", "quota"))


def _twice(it: Site) -> None:
    """A join that returns a row for each of the aliases of an address."""
    it.fill(
        """
        CREATE TABLE mailbox (
            username varchar(255) PRIMARY KEY, maildir varchar(255), quota bigint);
        CREATE TABLE alias (address varchar(255) PRIMARY KEY, goto varchar(255));
        INSERT INTO mailbox VALUES ('bob@example.com', 'example.com/bob/', 20480000);
        INSERT INTO alias VALUES
            ('bob@example.com', 'bob@example.com'),
            ('info@example.com', 'bob@example.com');
        """
    )
    maildirs(it)
    mailboxes = "SELECT maildir FROM mailbox WHERE username='%s'"
    it.set(virtual_mailbox_maps=it.query("mysql/mailbox_maps.cf", mailboxes))
    joined = (
        "SELECT mailbox.quota FROM mailbox, alias"
        " WHERE mailbox.username = '%s' AND alias.goto = mailbox.username"
    )
    _block(it, it.query("mysql/mailbox_limit_maps.cf", joined))


CONFIGURATIONS = (
    Patched(
        "PostfixAdmin with MySQL",
        _mysql,
        _BOXES,
        BOUNCES,
        SORRY,
        server="mariadb",
        problems=_EXTENDED,
    ),
    Patched(
        "PostfixAdmin with PostgreSQL",
        _pgsql,
        _BOXES,
        BOUNCES,
        SORRY,
        server="postgresql",
        problems=_EXTENDED,
    ),
    Patched(
        "two rows",
        _twice,
        (Box("bob@example.com", "example.com/bob/", 20_480_000),),
        BOUNCES,
        SORRY,
        server="mariadb",
        problems=_EXTENDED,
    ),
    Patched(
        "two tables and -1 for the usual limit",
        _joined,
        (
            Box("bob@example.com", "example.com/bob/", 20_480_000),
            Box("ann@example.com", "example.com/ann/", DEFAULT_LIMIT),
        ),
        BOUNCES,
        SORRY,
        server="mariadb",
        problems=_EXTENDED,
    ),
)
