"""MySQL as how-tos had it before Postfix 2.2: no query, but the parts of one.

Some tables have their parameters in main.cf, as before Postfix 2.1.
"""

from __future__ import annotations

from tests.harness.databases import SECRET, MariaDB
from tests.harness.shapes import Shape, Site

_SCHEMA = """
CREATE TABLE domains (
    pkid smallint PRIMARY KEY AUTO_INCREMENT, domain varchar(120) NOT NULL,
    transport varchar(120) NOT NULL DEFAULT 'virtual:',
    enabled tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE users (
    id varchar(128) PRIMARY KEY, name varchar(128) NOT NULL,
    uid smallint unsigned NOT NULL DEFAULT 5000,
    gid smallint unsigned NOT NULL DEFAULT 5000, home varchar(255) NOT NULL,
    maildir varchar(255) NOT NULL, enabled tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE aliases (
    pkid smallint PRIMARY KEY AUTO_INCREMENT, mail varchar(120) NOT NULL,
    destination varchar(120) NOT NULL, enabled tinyint(1) NOT NULL DEFAULT 1);
INSERT INTO domains (domain) VALUES ('localhost'), ('example.com'), ('example.net');
INSERT INTO users (id, name, home, maildir) VALUES
    ('bob@example.com', 'Bob', '/var/spool/mail/virtual', 'bob/'),
    ('ann@example.com', 'Ann', '/var/spool/mail/virtual', 'ann/'),
    ('joe@example.net', 'Joe', '/var/spool/mail/virtual', 'example.net/joe/');
INSERT INTO users (id, name, home, maildir, enabled) VALUES
    ('left@example.com', 'Left', '/var/spool/mail/virtual', 'left/', 0);
INSERT INTO aliases (mail, destination) VALUES
    ('bob@example.com', 'bob@example.com'), ('ann@example.com', 'ann@example.com'),
    ('joe@example.net', 'joe@example.net'),
    ('postmaster@example.com', 'bob@example.com'),
    ('@example.net', 'joe@example.net'), ('all@example.com', 'bob@example.com'),
    ('all@example.com', 'ann@example.com');
"""


def _makes(it: Site) -> None:
    it.fill(_SCHEMA)
    assert isinstance(it.server, MariaDB)

    def table(name: str, **parts: str) -> str:
        return it.query(f"mysql_{name}.cf", "", **parts)

    it.set(
        mydestination="localhost.localdomain",
        mynetworks_style="host",
        virtual_mailbox_base=str(it.mail),
        virtual_mailbox_maps=table(
            "mailbox",
            table="users",
            select_field="maildir",
            where_field="id",
            additional_conditions="and enabled = 1",
        ),
        virtual_alias_maps=table(
            "alias",
            table="aliases",
            select_field="destination",
            where_field="mail",
            additional_conditions="and enabled = 1",
        ),
        virtual_mailbox_domains=table(
            "domains",
            table="domains",
            select_field="domain",
            where_field="domain",
            additional_conditions="and enabled = 1",
        ),
        transport_maps=table(
            "transport",
            table="domains",
            select_field="transport",
            where_field="domain",
        ),
        virtual_uid_maps="mysql:ids",
        virtual_gid_maps="static:5000",
        ids_hosts=f"127.0.0.1:{it.server.port}",
        ids_user="reader",
        ids_password=SECRET,
        ids_dbname=it.database,
        ids_table="users",
        ids_select_field="uid",
        ids_where_field="id",
        local_recipient_maps="",
        recipient_delimiter="+",
    )


SHAPES = (
    Shape(
        "MySQL how-tos of old",
        _makes,
        {
            "bob@example.com": "bob/",
            "ann@example.com": "ann/",
            "joe@example.net": "example.net/joe/",
        },
        {
            "postmaster@example.com": ["bob@example.com"],
            "all@example.com": ["bob@example.com", "ann@example.com"],
            "who.ever@example.net": ["joe@example.net"],
            "bob+lists@example.com": ["bob+lists@example.com"],
        },
        ["nobody@example.com", "left@example.com"],
        "mariadb",
    ),
)
