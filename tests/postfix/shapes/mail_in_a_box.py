"""Mail-in-a-Box: an SQLite file of users and aliases.

A user is an alias of itself, so that neither catch-alls nor domain aliases take its
mail. With Dovecot, the values of virtual_mailbox_maps are of no use to anybody.
"""

from __future__ import annotations

from tests.harness.shapes import Shape, Site

_SCHEMA = """
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL DEFAULT '!', extra, privileges TEXT NOT NULL DEFAULT '');
CREATE TABLE aliases (
    id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL UNIQUE,
    destination TEXT NOT NULL, permitted_senders TEXT);
CREATE TABLE auto_aliases (
    id INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL UNIQUE,
    destination TEXT NOT NULL);
INSERT INTO users (email) VALUES
    ('bob@example.com'), ('ann@example.com'), ('joe@example.net');
INSERT INTO aliases (source, destination) VALUES
    ('sales@example.com', 'bob@example.com,ann@example.com'),
    ('@example.net', 'joe@example.net'), ('@example.org', '@example.com'),
    ('noreply@example.com', '');
INSERT INTO auto_aliases (source, destination) VALUES
    ('postmaster@example.com', 'bob@example.com'),
    ('abuse@example.com', 'bob@example.com');
"""
_DOMAINS = (
    "SELECT 1 FROM users WHERE email LIKE '%%@%s'"
    " UNION SELECT 1 FROM aliases WHERE source LIKE '%%@%s'"
    " UNION SELECT 1 FROM auto_aliases WHERE source LIKE '%%@%s'"
)
_ALIASES = (
    "SELECT destination FROM ("
    "SELECT destination, 0 AS priority FROM aliases"
    " WHERE source='%s' AND destination<>''"
    " UNION SELECT email AS destination, 1 AS priority FROM users WHERE email='%s'"
    " UNION SELECT destination, 2 AS priority FROM auto_aliases"
    " WHERE source='%s' AND destination<>'') ORDER BY priority LIMIT 1;"
)
_VALUE = "substr(email, instr(email, '@') + 1) || '/' || '%u' || '/'"


def _makes(it: Site) -> None:
    it.fill(_SCHEMA)
    value = _VALUE if it.agent == "virtual" else "1"
    it.set(
        inet_interfaces="all",
        smtp_bind_address="127.0.0.1",
        smtp_bind_address6="::1",
        myhostname="box.example.com",
        mydestination="localhost",
        smtpd_banner="$myhostname ESMTP Hi, I'm a Mail-in-a-Box (Ubuntu/Postfix)",
        delay_warning_time="3h",
        maximal_queue_lifetime="2d",
        bounce_queue_lifetime="1d",
        virtual_mailbox_domains=it.query("virtual-mailbox-domains.cf", _DOMAINS),
        virtual_mailbox_maps=it.query(
            "virtual-mailbox-maps.cf", f"SELECT {value} FROM users WHERE email='%s'"
        ),
        virtual_alias_maps=it.query("virtual-alias-maps.cf", _ALIASES),
        local_recipient_maps="$virtual_mailbox_maps",
        lmtp_destination_recipient_limit="1",
        message_size_limit="134217728",
        smtpd_sender_login_maps="$virtual_alias_maps",
        recipient_delimiter="+",
        tls_preempt_cipherlist="no",
        smtpd_recipient_restrictions="permit_sasl_authenticated,permit_mynetworks,"
        "reject_unauth_destination,reject_unlisted_recipient",
    )
    if it.agent == "virtual":
        it.set(
            virtual_mailbox_base=str(it.mail),
            virtual_uid_maps="static:5000",
            virtual_gid_maps="static:5000",
            virtual_mailbox_limit="0",
        )


SHAPES = (
    Shape(
        "Mail-in-a-Box",
        _makes,
        {
            "bob@example.com": "example.com/bob/",
            "ann@example.com": "example.com/ann/",
            "joe@example.net": "example.net/joe/",
        },
        {
            "sales@example.com": ["bob@example.com", "ann@example.com"],
            "postmaster@example.com": ["bob@example.com"],
            "bob@example.org": ["bob@example.com"],
            "who.ever@example.net": ["joe@example.net"],
        },
        ["nobody@example.com", "noreply@example.com"],
        own_agent="lmtp:[127.0.0.1]:10025",
    ),
)
