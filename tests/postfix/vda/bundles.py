"""Bundles and panels of their time: iRedMail, ExtMail, SysCP and its heirs, Artica."""

from __future__ import annotations

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

_TIDY = (
    "Sorry, the user's maildir has overdrawn his diskspace quota, please Tidy your"
    " mailbox and try again later."
)


def _iredmail(it: Site) -> None:
    """No maildirsize: the mailbox is counted for each message."""
    it.fill(
        """
        CREATE TABLE mailbox (
            username varchar(255) PRIMARY KEY, maildir varchar(255) NOT NULL,
            quota bigint(20) NOT NULL DEFAULT 0, active tinyint(1) NOT NULL DEFAULT 1);
        INSERT INTO mailbox (username, maildir, quota) VALUES
            ('www@example.com', 'example.com/w/ww/www/', 10485760),
            ('postmaster@example.com', 'example.com/p/po/postmaster/', 0);
        """
    )
    maildirs(it)
    where = "FROM mailbox WHERE username='%s' AND active='1'"
    limits = it.query("mysql_virtual_mailbox_limit_maps.cf", f"SELECT quota {where}")
    it.set(
        virtual_mailbox_maps="proxy:"
        + it.query("mysql_virtual_mailbox_maps.cf", f"SELECT maildir {where}"),
        virtual_mailbox_limit_maps=f"proxy:{limits}",
        proxy_read_maps="$virtual_mailbox_maps $virtual_mailbox_limit_maps",
        mailbox_size_limit="15728640",
        message_size_limit="15728640",
        virtual_mailbox_limit_override="yes",
        virtual_overquota_bounce="yes",
        virtual_mailbox_limit_message="Sorry, the mailbox is full.",
        virtual_minimum_uid="500",
        enable_original_recipient="no",
    )


def _extmail(it: Site) -> None:
    """Quotas in the database as Courier has them."""
    it.fill(
        """
        CREATE TABLE mailbox (
            username varchar(255) PRIMARY KEY, maildir varchar(255) NOT NULL,
            quota varchar(255) NOT NULL DEFAULT '0S',
            netdiskquota varchar(255) NOT NULL DEFAULT '0S',
            active tinyint(1) NOT NULL DEFAULT 1);
        INSERT INTO mailbox (username, maildir, quota, netdiskquota) VALUES
            ('test@example.com', 'example.com/test/Maildir/', '5242880S', '5242880S'),
            ('big@example.com', 'example.com/big/Maildir/', '104857600S', '0S'),
            ('all@example.com', 'example.com/all/Maildir/', '0S', '0S');
        """
    )
    maildirs(it)

    def table(name: str, column: str) -> str:
        return it.query(
            f"mysql_virtual_{name}.cf",
            "",
            table="mailbox",
            select_field=column,
            where_field="username",
            additional_conditions="AND active = '1'",
        )

    it.set(
        virtual_alias_domains="",
        virtual_mailbox_maps=table("mailbox_maps", "maildir"),
        maildrop_destination_recipient_limit="1",
        message_size_limit="14336000",
        virtual_mailbox_limit="20971520",
        virtual_create_maildirsize="yes",
        virtual_mailbox_extended="yes",
        virtual_mailbox_limit_maps=table("mailbox_limit_maps", "quota"),
        virtual_mailbox_limit_override="yes",
        virtual_maildir_limit_message=_TIDY,
        virtual_overquota_bounce="yes",
    )


def _syscp(it: Site) -> None:
    """Without virtual_mailbox_limit_override, and only the INBOX."""
    it.fill(
        """
        CREATE TABLE mail_users (
            id int PRIMARY KEY AUTO_INCREMENT, email varchar(255) NOT NULL,
            maildir varchar(255) NOT NULL, quota bigint NOT NULL DEFAULT 104857600);
        INSERT INTO mail_users (email, maildir) VALUES
            ('bob@example.com', 'bob/example.com/bob/');
        """
    )
    maildirs(it)
    it.set(
        virtual_mailbox_maps=it.query(
            "mysql-virtual_mailbox_maps.cf",
            "SELECT maildir FROM mail_users WHERE email = '%s'",
        ),
        virtual_create_maildirsize="yes",
        virtual_mailbox_extended="yes",
        virtual_mailbox_limit_inbox="no",
        virtual_mailbox_limit_maps=it.query(
            "mysql-virtual_mailbox_limit_maps.cf",
            "SELECT quota FROM mail_users WHERE email = '%s'",
        ),
        virtual_maildir_limit_message=SORRY,
        virtual_overquota_bounce="yes",
    )


def _artica(it: Site) -> None:
    it.fill(
        """
        CREATE TABLE mailbox (email varchar(255) PRIMARY KEY, place varchar(255),
            quota decimal(12,2));
        INSERT INTO mailbox VALUES ('bob@example.com', 'bob/', 10485760),
            ('ann@example.com', 'ann/', NULL);
        """
    )
    maildirs(it)
    it.set(
        virtual_mailbox_maps=it.query(
            "mailboxes.cf", "SELECT place FROM mailbox WHERE email = '%s'"
        ),
        virtual_mailbox_limit_maps=it.query(
            "limits.cf", "SELECT quota FROM mailbox WHERE email = '%s'"
        ),
        virtual_create_maildirsize="yes",
        virtual_mailbox_limit_override="yes",
        virtual_maildir_limit_message="Mailbox_is_full",
    )


CONFIGURATIONS = (
    Patched(
        "iRedMail of 2008",
        _iredmail,
        (
            Box("www@example.com", "example.com/w/ww/www/", 10_485_760),
            Box("postmaster@example.com", "example.com/p/po/postmaster/", 0),
        ),
        BOUNCES,
        SORRY,
        keeps_count=False,
        server="mariadb",
        problems={"PV003": "warning"},
    ),
    Patched(
        "ExtMail",
        _extmail,
        (
            Box("test@example.com", "example.com/test/Maildir/", 5_242_880),
            Box("big@example.com", "example.com/big/Maildir/", 104_857_600),
            Box("all@example.com", "example.com/all/Maildir/", 0),
        ),
        BOUNCES,
        _TIDY,
        server="mariadb",
        problems={"PV003": "warning"},
    ),
    Patched(
        "SysCP",
        _syscp,
        (Box("bob@example.com", "bob/example.com/bob/", 104_857_600),),
        BOUNCES,
        SORRY,
        server="mariadb",
        problems={"PV003": "warning"},
    ),
    Patched(
        "Artica, with decimals",
        _artica,
        (
            Box("bob@example.com", "bob/", 10_485_760),
            Box("ann@example.com", "ann/", DEFAULT_LIMIT),
        ),
        DEFERS,
        "Mailbox_is_full",
        server="mariadb",
    ),
)
