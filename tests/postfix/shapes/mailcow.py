"""mailcow: attributes of mailboxes in JSON, and all but Postfix in other containers."""

from __future__ import annotations

from tests.harness.databases import MariaDB
from tests.harness.shapes import Shape, Site

_SCHEMA = """
CREATE TABLE domain (
    domain varchar(255) PRIMARY KEY, backupmx tinyint(1) NOT NULL DEFAULT 0,
    active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE alias_domain (
    alias_domain varchar(255) PRIMARY KEY, target_domain varchar(255) NOT NULL,
    active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE mailbox (
    username varchar(255) PRIMARY KEY, mailbox_path_prefix varchar(150) NOT NULL,
    domain varchar(255) NOT NULL, attributes longtext NOT NULL,
    kind varchar(100) NOT NULL DEFAULT '', active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE alias (
    id int PRIMARY KEY AUTO_INCREMENT, address varchar(255) NOT NULL,
    goto text NOT NULL, domain varchar(255) NOT NULL,
    active tinyint(1) NOT NULL DEFAULT 1);
CREATE TABLE spamalias (
    address varchar(255) PRIMARY KEY, goto text NOT NULL, validity int NOT NULL);
CREATE TABLE transports (
    destination varchar(255) PRIMARY KEY, nexthop varchar(255) NOT NULL,
    active tinyint(1) NOT NULL DEFAULT 1);
INSERT INTO domain (domain) VALUES ('example.com'), ('example.net');
INSERT INTO domain (domain, backupmx) VALUES ('backup.example', 1);
INSERT INTO alias_domain (alias_domain, target_domain) VALUES
    ('example.org', 'example.com');
INSERT INTO mailbox (username, mailbox_path_prefix, domain, attributes) VALUES
    ('bob@example.com', '{prefix}', 'example.com', '{{"mailbox_format": "{format}"}}'),
    ('ann@example.com', '{prefix}', 'example.com', '{{"mailbox_format": "{format}"}}'),
    ('joe@example.net', '{prefix}', 'example.net', '{{"mailbox_format": "{format}"}}');
INSERT INTO alias (address, goto, domain) VALUES
    ('bob@example.com', 'bob@example.com', 'example.com'),
    ('ann@example.com', 'ann@example.com', 'example.com'),
    ('joe@example.net', 'joe@example.net', 'example.net'),
    ('all@example.com', 'bob@example.com,ann@example.com', 'example.com'),
    ('@example.net', 'joe@example.net', 'example.net');
INSERT INTO spamalias VALUES ('x7k2m@example.com', 'ann@example.com', 2000000000);
INSERT INTO transports (destination, nexthop) VALUES
    ('partner.example', '[mx.partner.example]:587');
"""
_QUERIES = {
    "virtual_alias_maps": """
        SELECT goto FROM alias WHERE address='%s' AND (active='1' OR active='2');""",
    "virtual_resource_maps": """
        SELECT 'null@localhost' FROM mailbox
        WHERE kind REGEXP 'location|thing|group' AND username = '%s';""",
    "virtual_spamalias_maps": """
        SELECT goto FROM spamalias
        WHERE address='%s' AND validity >= UNIX_TIMESTAMP()""",
    "virtual_alias_domain_maps": """
        SELECT username FROM mailbox, alias_domain
        WHERE alias_domain.alias_domain = '%d'
        AND mailbox.username = CONCAT('%u', '@', alias_domain.target_domain)
        AND (mailbox.active = '1' OR mailbox.active = '2')
        AND alias_domain.active='1'""",
    "virtual_domains_maps": """
        SELECT alias_domain FROM alias_domain WHERE alias_domain='%s' AND active='1'
        UNION
        SELECT domain FROM domain
        WHERE domain='%s' AND active = '1' AND backupmx = '0'""",
    "virtual_mailbox_maps": """
        SELECT CONCAT(JSON_UNQUOTE(JSON_VALUE(attributes, '$.mailbox_format')),
        mailbox_path_prefix, '%d/%u/') FROM mailbox
        WHERE username='%s' AND (active = '1' OR active = '2')""",
    "virtual_relay_domain_maps": """
        SELECT domain FROM domain
        WHERE domain='%s' AND backupmx = '1' AND active = '1'""",
    "transport_maps": """
        SELECT CONCAT('smtp_via_transport_maps:', nexthop) AS transport
        FROM transports WHERE active = '1' AND destination = '%s';""",
}


def _makes(it: Site) -> None:
    is_virtual = it.agent == "virtual"
    prefix, form = ("", "") if is_virtual else ("/var/vmail/", "maildir:")
    it.fill(_SCHEMA.format(prefix=prefix, format=form))
    assert isinstance(it.server, MariaDB)
    hosts = f"unix:{it.server.socket}"

    def tables(*names: str) -> str:
        found = [
            it.query(f"sql/mysql_{one}.cf", _QUERIES[one], hosts=hosts) for one in names
        ]
        return ",\n  ".join(f"proxy:{one}" for one in found)

    it.set(
        virtual_alias_maps=tables(
            "virtual_alias_maps",
            "virtual_resource_maps",
            "virtual_spamalias_maps",
            "virtual_alias_domain_maps",
        ),
        virtual_mailbox_domains=tables("virtual_domains_maps"),
        virtual_mailbox_maps=tables("virtual_mailbox_maps"),
        virtual_mailbox_base=f"{it.mail}/",
        virtual_minimum_uid="104",
        virtual_uid_maps="static:5000",
        virtual_gid_maps="static:5000",
        relay_domains=tables("virtual_relay_domain_maps"),
        transport_maps=",\n  ".join(
            (
                it.table("pcre", "custom_transport.pcre", ""),
                it.table(
                    "pcre", "local_transport", "/^(null|watchdog)@/ local:$myhostname\n"
                ),
                tables("transport_maps"),
            )
        ),
        proxy_read_maps=",\n  ".join(
            f"${name}"
            for name in (
                *("sender_dependent_default_transport_maps", "smtp_tls_policy_maps"),
                *("local_recipient_maps", "mydestination", "virtual_alias_maps"),
                *("virtual_alias_domains", "virtual_mailbox_maps"),
                *("virtual_mailbox_domains", "relay_recipient_maps", "relay_domains"),
                *("canonical_maps", "transport_maps", "mynetworks"),
                *("smtpd_sender_login_maps", "smtp_sasl_password_maps"),
            )
        ),
        mydestination="localhost.localdomain, localhost",
        mynetworks="127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128 10.0.0.0/8"
        " 172.16.0.0/12 192.168.0.0/16 [fe80::]/10 [fc00::]/7",
        inet_interfaces="all",
        inet_protocols="all",
        message_size_limit="104857600",
        mailbox_size_limit="0",
        recipient_delimiter="+",
        smtputf8_enable="no",
        mail_name="Postcow",
        smtpd_hard_error_limit="${stress?1}${stress:5}",
        smtpd_milters="inet:rspamd:9900",
        milter_default_action="accept",
        milter_mail_macros="i {mail_addr} {client_addr} {client_name} {auth_authen}",
        postscreen_cache_map="proxy:btree:$data_directory/postscreen_cache",
        smtpd_sasl_path="inet:dovecot:10001",
    )
    it.services.append("smtp_via_transport_maps unix - - n - - smtp")
    if is_virtual:
        it.set(virtual_mailbox_limit="0")


SHAPES = (
    Shape(
        "mailcow",
        _makes,
        {
            "bob@example.com": "example.com/bob/",
            "ann@example.com": "example.com/ann/",
            "joe@example.net": "example.net/joe/",
        },
        {
            "all@example.com": ["bob@example.com", "ann@example.com"],
            "x7k2m@example.com": ["ann@example.com"],
            "bob@example.org": ["bob@example.com"],
            "who.ever@example.net": ["joe@example.net"],
        },
        ["nobody@example.com", "nobody@example.org"],
        "mariadb",
        own_agent="lmtp:inet:dovecot:24",
    ),
)
