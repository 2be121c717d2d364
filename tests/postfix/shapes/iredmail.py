"""iRedMail, with its accounts in SQL or in a directory.

It delivers with Dovecot, by a transport for each domain and user; with virtual(8) the
domains have no transport of their own.
"""

from __future__ import annotations

from tests.harness.shapes import Shape, Site

_SCHEMA = """
CREATE TABLE domain (
    domain varchar(255) PRIMARY KEY, transport varchar(255) NOT NULL,
    backupmx {flag} NOT NULL DEFAULT 0, active {flag} NOT NULL DEFAULT 1);
CREATE TABLE mailbox (
    username varchar(255) PRIMARY KEY, storagebasedirectory varchar(255) NOT NULL,
    storagenode varchar(255) NOT NULL, maildir varchar(255) NOT NULL,
    domain varchar(255) NOT NULL, transport varchar(255) NOT NULL DEFAULT '',
    enabledeliver {flag} NOT NULL DEFAULT 1, active {flag} NOT NULL DEFAULT 1);
CREATE TABLE forwardings (
    address varchar(255) NOT NULL, forwarding varchar(255) NOT NULL,
    domain varchar(255) NOT NULL, is_list {flag} NOT NULL DEFAULT 0,
    is_alias {flag} NOT NULL DEFAULT 0, is_forwarding {flag} NOT NULL DEFAULT 0,
    active {flag} NOT NULL DEFAULT 1, PRIMARY KEY (address, forwarding));
CREATE TABLE alias_domain (
    alias_domain varchar(255) PRIMARY KEY, target_domain varchar(255) NOT NULL,
    active {flag} NOT NULL DEFAULT 1);
INSERT INTO domain (domain, transport) VALUES
    ('example.com', '{transport}'), ('example.net', '{transport}');
INSERT INTO alias_domain (alias_domain, target_domain) VALUES
    ('example.org', 'example.com');
INSERT INTO mailbox (username, storagebasedirectory, storagenode, maildir, domain)
    VALUES
    ('bob@example.com', '{base}', 'vmail1', 'example.com/b/o/b/bob-2026.11.30/',
     'example.com'),
    ('ann@example.com', '{base}', 'vmail1', 'example.com/a/n/n/ann-2025.01.01/',
     'example.com'),
    ('joe@example.net', '{base}', 'vmail2', 'example.net/joe/', 'example.net');
INSERT INTO forwardings (address, forwarding, domain, is_forwarding) VALUES
    ('bob@example.com', 'bob@example.com', 'example.com', 1),
    ('ann@example.com', 'ann@example.com', 'example.com', 1),
    ('joe@example.net', 'joe@example.net', 'example.net', 1);
INSERT INTO forwardings (address, forwarding, domain, is_list) VALUES
    ('team@example.com', 'bob@example.com', 'example.com', 1),
    ('team@example.com', 'ann@example.com', 'example.com', 1),
    ('example.net', 'joe@example.net', 'example.net', 0);
INSERT INTO forwardings (address, forwarding, domain, is_alias) VALUES
    ('robert@example.com', 'bob@example.com', 'example.com', 1);
"""

_QUERIES = {
    "virtual_mailbox_domains": """
        SELECT domain FROM domain WHERE domain='%s' AND backupmx=0 AND active=1
        UNION SELECT alias_domain.alias_domain FROM alias_domain,domain
        WHERE alias_domain.alias_domain='%s' AND alias_domain.active=1
        AND alias_domain.target_domain=domain.domain AND domain.active=1""",
    "virtual_mailbox_maps": """
        SELECT CONCAT(mailbox.storagenode, '/', mailbox.maildir, 'Maildir/')
        FROM mailbox,domain WHERE mailbox.username='%s'
        AND mailbox.active=1 AND mailbox.enabledeliver=1
        AND domain.domain=mailbox.domain AND domain.active=1""",
    "virtual_alias_maps": """
        SELECT forwardings.forwarding FROM forwardings,domain
        WHERE forwardings.address='%s' AND forwardings.domain='%d'
        AND forwardings.domain=domain.domain AND forwardings.active=1
        AND domain.backupmx=0 AND domain.active=1""",
    "domain_alias_maps": """
        SELECT forwardings.forwarding FROM forwardings,alias_domain,domain
        WHERE alias_domain.alias_domain='%d'
        AND forwardings.address=CONCAT('%u', '@', alias_domain.target_domain)
        AND alias_domain.target_domain=domain.domain AND forwardings.active=1
        AND alias_domain.active=1""",
    "catchall_maps": """
        SELECT forwardings.forwarding FROM forwardings,domain
        WHERE forwardings.address='%d' AND forwardings.address=domain.domain
        AND '%u' NOT LIKE '%%+%%' AND forwardings.active=1 AND domain.active=1""",
    "transport_maps_user": """
        SELECT mailbox.transport FROM mailbox,domain
        WHERE mailbox.username='%s' AND mailbox.domain=domain.domain
        AND mailbox.transport<>'' AND mailbox.active=1 AND domain.active=1""",
    "transport_maps_domain": """
        SELECT transport FROM domain
        WHERE domain='%s' AND transport<>'' AND active=1""",
    "relay_domains": """
        SELECT domain FROM domain WHERE domain='%s' AND backupmx=1 AND active=1""",
}


def _sql(it: Site, folder: str, flag: str) -> None:
    transport = "" if it.agent == "virtual" else it.agent
    it.fill(_SCHEMA.format(flag=flag, transport=transport, base="/var/vmail"))
    _everybody_has(it)

    def tables(*names: str) -> str:
        """As it has them, one table on each line."""
        found = [it.query(f"{folder}/{one}.cf", _QUERIES[one]) for one in names]
        return "".join(f"\n    proxy:{one}" for one in found)

    it.set(
        transport_maps=tables("transport_maps_user", "transport_maps_domain"),
        virtual_mailbox_domains=tables("virtual_mailbox_domains"),
        relay_domains="\n    $mydestination" + tables("relay_domains"),
        virtual_mailbox_maps=tables("virtual_mailbox_maps"),
        virtual_alias_maps=tables(
            "virtual_alias_maps", "domain_alias_maps", "catchall_maps"
        ),
        virtual_mailbox_base=str(it.mail),
    )


def _everybody_has(it: Site) -> None:
    it.set(
        virtual_transport=it.agent,
        virtual_alias_domains="",
        virtual_minimum_uid="2000",
        virtual_uid_maps="static:5000",
        virtual_gid_maps="static:5000",
        mydestination="$myhostname, localhost, localhost.localdomain",
        mydomain="mail.example.org",
        myorigin="mail.example.org",
        mynetworks="127.0.0.1",
        enable_original_recipient="no",
        enable_long_queue_ids="yes",
        message_size_limit="15728640",
        recipient_delimiter="+",
        swap_bangpath="no",
        allow_percent_hack="no",
        dovecot_destination_recipient_limit="1",
        smtpd_tls_dh1024_param_file="/etc/ssl/dh2048_param.pem",
        smtp_tls_CAfile="$smtpd_tls_CAfile",
        smtpd_tls_CAfile="/etc/ssl/certs/iRedMail.crt",
        smtpd_recipient_restrictions="\n    reject_non_fqdn_recipient"
        "\n    check_policy_service inet:127.0.0.1:7777\n    permit_mynetworks"
        "\n    reject_unauth_destination",
        lmtp_tls_protocols="!SSLv2 !SSLv3 !TLSv1 !TLSv1.1",
        proxy_read_maps="$canonical_maps $lmtp_generic_maps $local_recipient_maps"
        " $mydestination $mynetworks $recipient_bcc_maps $recipient_canonical_maps"
        " $relay_domains $relay_recipient_maps $relocated_maps $sender_bcc_maps"
        " $sender_canonical_maps $smtp_generic_maps $smtpd_sender_login_maps"
        " $transport_maps $virtual_alias_domains $virtual_alias_maps"
        " $virtual_mailbox_domains $virtual_mailbox_maps"
        " $smtpd_sender_restrictions $sender_dependent_relayhost_maps",
    )
    it.services.append(
        "dovecot unix - n n - - pipe flags=DRh user=nobody:nogroup"
        " argv=/usr/lib/dovecot/deliver -f ${sender} -d ${user}@${domain}"
        " -m ${extension}"
    )


_USER = (
    "(&(objectClass=mailUser)(|(mail=%s)(shadowAddress=%s))(accountStatus=active)"
    "(enabledService=mail)(enabledService=deliver))"
)


def _ldap(it: Site) -> None:
    base = f"o=domains,{it.top}"
    _fill_directory(it, base)
    _everybody_has(it)
    common = {"start_tls": "no", "scope": "sub", "debuglevel": "0"}
    it.set(
        virtual_mailbox_domains="proxy:"
        + it.search(
            "ldap/virtual_mailbox_domains.cf",
            **common | {"scope": "one"},
            search_base=base,
            query_filter="(&(objectClass=mailDomain)(domainName=%s)"
            "(accountStatus=active))",
            result_attribute="domainName",
        ),
        virtual_mailbox_maps="proxy:"
        + it.search(
            "ldap/virtual_mailbox_maps.cf",
            **common,
            search_base=base,
            query_filter=_USER,
            result_attribute="mailMessageStore",
            result_format="%s/Maildir/",
        ),
        virtual_alias_maps="".join(
            f"\n    proxy:{one}"
            for one in (
                it.search(
                    "ldap/virtual_group_maps.cf",
                    **common,
                    search_base=base,
                    query_filter="(&(accountStatus=active)(enabledService=mail)"
                    "(shadowAddress=%s)(!(mail=%s)))",
                    result_attribute="mail",
                ),
                it.search(
                    "ldap/catchall_maps.cf",
                    **common,
                    search_base=f"domainName=%d,{base}",
                    query_filter="(&(enabledService=forward)(mail=@%d))",
                    result_attribute="mailForwardingAddress",
                ),
            )
        ),
        transport_maps="proxy:"
        + it.search(
            "ldap/transport_maps_user.cf",
            **common,
            search_base=base,
            query_filter=f"(&{_USER}(description=*))",
            result_attribute="description",
        ),
        virtual_mailbox_base=str(it.mail),
    )


def _fill_directory(it: Site, base: str) -> None:
    entries: dict[str, dict[str, list[str]]] = {
        base: {"objectClass": ["organization"]},
    }
    for domain in ("example.com", "example.net"):
        entries[f"domainName={domain},{base}"] = {
            "objectClass": ["mailDomain"],
            "accountStatus": ["active"],
        }
        entries[f"ou=Users,domainName={domain},{base}"] = {
            "objectClass": ["organizationalUnit"]
        }
    user = {
        "objectClass": ["inetOrgPerson", "mailUser"],
        "sn": ["x"],
        "cn": ["x"],
        "accountStatus": ["active"],
        "enabledService": ["mail", "deliver", "smtp", "imap"],
    }
    for address, name, folder in (
        ("bob@example.com", "robert", "vmail1/example.com/b/o/b/bob-2026.11.30"),
        ("ann@example.com", "anna", "vmail1/example.com/a/n/n/ann-2025.01.01"),
        ("joe@example.net", "josef", "vmail2/example.net/joe"),
    ):
        domain = address.partition("@")[2]
        entries[f"mail={address},ou=Users,domainName={domain},{base}"] = {
            **user,
            "mail": [address],
            "shadowAddress": [f"{name}@{domain}"],
            "mailMessageStore": [folder],
            **({} if it.agent == "virtual" else {"description": [it.agent]}),
        }
    entries[f"mail=@example.net,ou=Users,domainName=example.net,{base}"] = {
        **user,
        "mail": ["@example.net"],
        "enabledService": ["forward"],
        "mailForwardingAddress": ["joe@example.net"],
    }
    it.host(entries)


_MAILBOXES = {
    "bob@example.com": "vmail1/example.com/b/o/b/bob-2026.11.30/Maildir/",
    "ann@example.com": "vmail1/example.com/a/n/n/ann-2025.01.01/Maildir/",
    "joe@example.net": "vmail2/example.net/joe/Maildir/",
}
_ALIASES = {
    "team@example.com": ["bob@example.com", "ann@example.com"],
    "robert@example.com": ["bob@example.com"],
    "bob@example.org": ["bob@example.com"],
    "who.ever@example.net": ["joe@example.net"],
}

SHAPES = (
    Shape(
        "iRedMail with MySQL",
        lambda it: _sql(it, "mysql", "tinyint(1)"),
        _MAILBOXES,
        _ALIASES,
        ["nobody@example.com", "nobody@example.org"],
        "mariadb",
        own_agent="dovecot",
    ),
    Shape(
        "iRedMail with PostgreSQL",
        lambda it: _sql(it, "pgsql", "smallint"),
        _MAILBOXES,
        _ALIASES,
        ["nobody@example.com", "nobody@example.org"],
        "postgresql",
        own_agent="dovecot",
    ),
    Shape(
        "iRedMail with OpenLDAP",
        _ldap,
        {
            "bob@example.com": "vmail1/example.com/b/o/b/bob-2026.11.30/Maildir/",
            "ann@example.com": "vmail1/example.com/a/n/n/ann-2025.01.01/Maildir/",
            "joe@example.net": "vmail2/example.net/joe/Maildir/",
        },
        {
            "robert@example.com": ["bob@example.com"],
            "bob+lists@example.com": ["bob+lists@example.com"],
            "josef@example.net": ["joe@example.net"],
        },
        ["nobody@example.com"],
        "slapd",
        own_agent="dovecot",
    ),
)
