"""Modoboa's database with PostgreSQL: aliases and mailboxes are joined, or in views.

Every mailbox has an alias to itself. With Dovecot, main.cf says nothing of mailboxes.
"""

from __future__ import annotations

from tests.harness.shapes import Shape, Site

_SCHEMA = """
CREATE TABLE admin_domain (
    id serial PRIMARY KEY, name varchar(100) UNIQUE NOT NULL,
    type varchar(20) NOT NULL DEFAULT 'domain', enabled boolean NOT NULL DEFAULT true);
CREATE TABLE admin_domainalias (
    id serial PRIMARY KEY, name varchar(100) UNIQUE NOT NULL,
    target_id int NOT NULL REFERENCES admin_domain, enabled boolean NOT NULL);
CREATE TABLE core_user (
    id serial PRIMARY KEY, email varchar(254) NOT NULL, is_active boolean NOT NULL);
CREATE TABLE admin_mailbox (
    id serial PRIMARY KEY, address varchar(252) NOT NULL,
    domain_id int NOT NULL REFERENCES admin_domain,
    user_id int NOT NULL REFERENCES core_user);
CREATE TABLE admin_alias (
    id serial PRIMARY KEY, address varchar(254) NOT NULL,
    domain_id int REFERENCES admin_domain, enabled boolean NOT NULL);
CREATE TABLE admin_aliasrecipient (
    id serial PRIMARY KEY, address varchar(254) NOT NULL,
    alias_id int NOT NULL REFERENCES admin_alias);
CREATE TABLE postfix_relay (
    domain varchar(100) PRIMARY KEY, host varchar(255) NOT NULL, port int NOT NULL);
CREATE VIEW maildirs AS
    SELECT mb.address || '@' || dom.name AS email,
        dom.name || '/' || mb.address || '/.maildir/' AS path
    FROM admin_mailbox mb JOIN admin_domain dom ON mb.domain_id = dom.id
        JOIN core_user u ON mb.user_id = u.id
    WHERE dom.enabled AND u.is_active;
CREATE VIEW recipients AS
    SELECT al.address AS alias, rcpt.address AS recipient
    FROM admin_aliasrecipient rcpt JOIN admin_alias al ON rcpt.alias_id = al.id
    WHERE al.enabled;
INSERT INTO admin_domain (name, enabled) VALUES
    ('example.com', true), ('example.net', true), ('closed.example', false);
INSERT INTO admin_domain (name, type) VALUES ('relayed.example', 'relaydomain');
INSERT INTO postfix_relay VALUES ('relayed.example', 'mx.relayed.example', 25);
INSERT INTO admin_domainalias (name, target_id, enabled) VALUES
    ('example.org', 1, true);
INSERT INTO core_user (email, is_active) VALUES
    ('bob@example.com', true), ('Zoe@example.com', true), ('left@example.com', false),
    ('joe@example.net', true);
INSERT INTO admin_mailbox (address, domain_id, user_id) VALUES
    ('bob', 1, 1), ('zoe', 1, 2), ('left', 1, 3), ('joe', 2, 4);
INSERT INTO admin_alias (address, domain_id, enabled) VALUES
    ('bob@example.com', 1, true), ('zoe@example.com', 1, true),
    ('joe@example.net', 2, true), ('all@example.com', 1, true),
    ('@example.net', 2, true), ('@example.org', 1, true);
INSERT INTO admin_aliasrecipient (alias_id, address) VALUES
    (1, 'bob@example.com'), (2, 'zoe@example.com'), (3, 'joe@example.net'),
    (4, 'bob@example.com'), (4, 'zoe@example.com'), (5, 'joe@example.net'),
    (6, '@example.com');
"""
_QUERIES = {
    "domains": """
        SELECT name FROM admin_domain WHERE name='%s' AND type='domain' AND enabled""",
    "domain-aliases": """
        SELECT dom.name FROM admin_domain dom
        INNER JOIN admin_domainalias alias ON dom.id=alias.target_id
        WHERE alias.name='%s' AND alias.enabled AND dom.enabled""",
    "aliases": """
        SELECT recipient FROM recipients WHERE alias='%s'""",
    "mailboxes": """
        SELECT path FROM maildirs WHERE email='%s'""",
    "relaydomains": """
        SELECT name FROM admin_domain
        WHERE name='%s' AND type='relaydomain' AND enabled""",
    "relaydomains-transport": """
        SELECT 'smtp:[' || host || ']:' || port FROM postfix_relay WHERE domain='%s'""",
}


def _makes(it: Site) -> None:
    it.fill(_SCHEMA)

    def table(name: str) -> str:
        return it.query(f"sql-{name}.cf", _QUERIES[name])

    it.set(
        myhostname="mail.example.org",
        myorigin="$myhostname",
        inet_protocols="ipv4",
        mynetworks="127.0.0.0/8",
        virtual_mailbox_domains=table("domains"),
        virtual_alias_domains=table("domain-aliases"),
        virtual_alias_maps=f"\n        {table('aliases')}",
        relay_domains=f"\n        {table('relaydomains')}",
        transport_maps=f"\n        {table('relaydomains-transport')}",
        address_verify_map="proxy:btree:$data_directory/verify_cache",
        proxy_write_maps="\n    $smtp_sasl_auth_cache_name"
        "\n    $lmtp_sasl_auth_cache_name\n    $address_verify_map",
        smtpd_tls_dh1024_param_file="${config_directory}/dh2048.pem",
        smtpd_use_tls="yes",
        smtpd_recipient_restrictions="\n      permit_mynetworks"
        "\n      reject_unverified_recipient\n      reject_unauth_destination",
        postscreen_blacklist_action="enforce",
        mailbox_size_limit="0",
        message_size_limit="11534336",
        recipient_delimiter="+",
    )
    if it.agent == "virtual":
        it.set(
            virtual_mailbox_base=str(it.mail),
            virtual_mailbox_maps=table("mailboxes"),
            virtual_uid_maps="static:5000",
            virtual_gid_maps="static:5000",
        )


SHAPES = (
    Shape(
        "Modoboa",
        _makes,
        {
            "bob@example.com": "example.com/bob/.maildir/",
            "zoe@example.com": "example.com/zoe/.maildir/",
            "joe@example.net": "example.net/joe/.maildir/",
        },
        {
            "all@example.com": ["bob@example.com", "zoe@example.com"],
            "bob@example.org": ["bob@example.com"],
            "who.ever@example.net": ["joe@example.net"],
            "bob+news@example.com": ["bob+news@example.com"],
        },
        ["nobody@example.com", "left@example.com"],
        "postgresql",
        own_agent="lmtp:unix:private/dovecot-lmtp",
    ),
)
