"""ISPConfig's database: forwardings of several kinds in one UNION, uids in columns."""

from __future__ import annotations

from tests.harness.shapes import Shape, Site

_SCHEMA = """
CREATE TABLE mail_domain (
    domain_id int PRIMARY KEY AUTO_INCREMENT, server_id int NOT NULL DEFAULT 1,
    domain varchar(255) NOT NULL, active enum('n','y') NOT NULL DEFAULT 'y');
CREATE TABLE mail_user (
    mailuser_id int PRIMARY KEY AUTO_INCREMENT, server_id int NOT NULL DEFAULT 1,
    email varchar(255) NOT NULL, login varchar(255) NOT NULL, uid int NOT NULL,
    gid int NOT NULL, maildir varchar(255) NOT NULL, cc text NOT NULL,
    postfix enum('n','y') NOT NULL DEFAULT 'y',
    disabledeliver enum('n','y') NOT NULL DEFAULT 'n');
CREATE TABLE mail_forwarding (
    forwarding_id int PRIMARY KEY AUTO_INCREMENT, server_id int NOT NULL DEFAULT 1,
    source varchar(255) NOT NULL, destination text NOT NULL,
    type enum('alias','aliasdomain','forward','catchall') NOT NULL,
    active enum('n','y') NOT NULL DEFAULT 'y');
CREATE TABLE mail_transport (
    transport_id int PRIMARY KEY AUTO_INCREMENT, server_id int NOT NULL DEFAULT 1,
    domain varchar(255) NOT NULL, transport varchar(255) NOT NULL,
    active enum('n','y') NOT NULL DEFAULT 'y');
INSERT INTO mail_domain (domain) VALUES
    ('example.com'), ('example.net'), ('example.org');
INSERT INTO mail_user (email, login, uid, gid, maildir, cc) VALUES
    ('bob@example.com', 'bob@example.com', 5000, 5001, '/vmail/example.com/bob', ''),
    ('ann@example.com', 'ann@example.com', 5002, 5003, '/vmail/example.com/ann', ''),
    ('joe@example.net', 'joe@example.net', 5000, 5001, '/vmail/example.net/joe', '');
INSERT INTO mail_user (email, login, uid, gid, maildir, cc, disabledeliver) VALUES
    ('away@example.com', 'away@example.com', 5000, 5001, '/vmail/example.com/away',
     'ann@example.com', 'y');
INSERT INTO mail_forwarding (source, destination, type) VALUES
    ('sales@example.com', 'bob@example.com', 'alias'),
    ('all@example.com', 'bob@example.com, ann@example.com', 'forward'),
    ('@example.net', 'joe@example.net', 'catchall'),
    ('@example.org', '@example.com', 'aliasdomain');
INSERT INTO mail_transport (domain, transport) VALUES
    ('partner.example', 'smtp:[mx.partner.example]');
"""

_QUERIES = {
    "forwardings": """
        SELECT f.destination AS target FROM mail_forwarding AS f
            WHERE f.source = '%s' AND f.type IN ('alias', 'forward')
                AND f.active = 'y' AND f.server_id = 1
        UNION
        SELECT u.email AS target FROM mail_forwarding AS f
            INNER JOIN mail_user AS u
                ON u.email = CONCAT('%u@', SUBSTRING_INDEX(f.destination, '@', -1))
            WHERE f.source = '@%d' AND f.type = 'aliasdomain' AND f.active = 'y'
                AND u.disabledeliver = 'n' AND f.server_id = 1
        UNION
        SELECT g.destination AS target FROM mail_forwarding AS f
            INNER JOIN mail_forwarding AS g
                ON g.source = CONCAT('%u@', SUBSTRING_INDEX(f.destination, '@', -1))
            WHERE f.source = '@%d' AND f.type = 'aliasdomain' AND f.active = 'y'
                AND g.active = 'y' AND f.server_id = 1""",
    "email2email": """
        SELECT email FROM mail_user WHERE email = '%s' AND postfix = 'y'
            AND disabledeliver = 'n' AND server_id = 1
        UNION
        SELECT cc AS email FROM mail_user WHERE email = '%s' AND postfix = 'y'
            AND disabledeliver = 'y' AND server_id = 1""",
    "catchall": """
        SELECT destination FROM mail_forwarding WHERE source = '%s'
            AND type = 'catchall' AND active = 'y' AND server_id = 1""",
    "domains": """
        SELECT domain FROM mail_domain
            WHERE domain = '%s' AND active = 'y' AND server_id = 1""",
    "mailboxes": """
        SELECT CONCAT(SUBSTRING_INDEX(maildir, '/', -2), '/Maildir/') FROM mail_user
            WHERE login = '%s' AND postfix = 'y' AND disabledeliver = 'n'
                AND server_id = 1""",
    "uids": """
        SELECT uid FROM mail_user
            WHERE email = '%s' AND postfix = 'y' AND server_id = 1""",
    "gids": """
        SELECT gid FROM mail_user
            WHERE email = '%s' AND postfix = 'y' AND server_id = 1""",
    "transports": """
        SELECT transport FROM mail_transport
            WHERE domain = '%s' AND active = 'y' AND server_id = 1""",
}


def _makes(it: Site) -> None:
    it.fill(_SCHEMA)
    it.directory("example.com", owner=(0, 0))
    it.directory("example.com/bob", owner=(5000, 5001))
    it.directory("example.com/ann", owner=(5002, 5003))

    def table(name: str) -> str:
        return it.query(f"mysql-virtual_{name}.cf", _QUERIES[name])

    aliases = (
        it.table("hash", "virtual-mailman", ""),
        *(f"proxy:{table(one)}" for one in ("forwardings", "email2email", "catchall")),
    )
    it.set(
        virtual_alias_domains="",
        virtual_alias_maps=", ".join(aliases),
        virtual_mailbox_domains=f"proxy:{table('domains')}",
        virtual_mailbox_maps=f"proxy:{table('mailboxes')}",
        virtual_mailbox_base=str(it.mail),
        virtual_uid_maps=table("uids"),
        virtual_gid_maps=table("gids"),
        transport_maps=f"proxy:{table('transports')}",
        proxy_read_maps="$local_recipient_maps $mydestination $virtual_alias_maps"
        " $virtual_alias_domains $sender_bcc_maps $virtual_mailbox_maps"
        " $virtual_mailbox_domains $relay_recipient_maps $relay_domains"
        " $canonical_maps $sender_canonical_maps $recipient_canonical_maps"
        " $relocated_maps $transport_maps $mynetworks $smtpd_sender_login_maps"
        " $smtpd_recipient_restrictions",
        smtpd_restriction_classes="greylisting",
        greylisting="check_policy_service inet:127.0.0.1:10023",
        dovecot_destination_recipient_limit="1",
        owner_request_special="no",
        recipient_delimiter="+",
        mailbox_size_limit="0",
        message_size_limit="0",
        virtual_mailbox_limit="0",
        inet_protocols="all",
        mydestination="mail.example.org, localhost, localhost.localdomain",
        smtpd_milters="inet:localhost:11332",
        milter_default_action="accept",
        milter_mail_macros="i {mail_addr} {client_addr} {client_name} {auth_authen}",
    )
    it.services.append(
        "dovecot unix - n n - - pipe flags=DROhu user=nobody:nogroup"
        " argv=/usr/lib/dovecot/deliver -f ${sender} -d ${user}@${nexthop}"
    )


SHAPES = (
    Shape(
        "ISPConfig",
        _makes,
        {
            "bob@example.com": "example.com/bob/Maildir/",
            "ann@example.com": "example.com/ann/Maildir/",
            "joe@example.net": "example.net/joe/Maildir/",
        },
        {
            "sales@example.com": ["bob@example.com"],
            "all@example.com": ["bob@example.com", "ann@example.com"],
            "away@example.com": ["ann@example.com"],
            "who.ever@example.net": ["joe@example.net"],
            "bob@example.org": ["bob@example.com"],
            "all@example.org": ["bob@example.com", "ann@example.com"],
            "bob+news@example.com": ["bob+news@example.com"],
        },
        ["nobody@example.com", "nobody@example.org"],
        "mariadb",
        owner=lambda address: (
            (5002, 5003) if address.startswith("ann@") else (5000, 5001)
        ),
        own_agent="lmtp:unix:private/dovecot-lmtp",
    ),
)
