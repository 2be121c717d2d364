"""PostfixAdmin's database: domains, aliases, and domains that are another name for one.

Each mailbox has an alias to itself, so that catch-alls do not take its mail.
"""

from __future__ import annotations

from tests.harness.shapes import Shape, Site

_SCHEMA = """
CREATE TABLE domain (
    domain varchar(255) PRIMARY KEY, description varchar(255) NOT NULL DEFAULT '',
    transport varchar(255) NOT NULL DEFAULT 'virtual', backupmx {flag} NOT NULL,
    active {flag} NOT NULL);
CREATE TABLE mailbox (
    username varchar(255) PRIMARY KEY, password varchar(255) NOT NULL DEFAULT '!',
    maildir varchar(255) NOT NULL, quota bigint NOT NULL DEFAULT 0,
    domain varchar(255) NOT NULL, active {flag} NOT NULL);
CREATE TABLE alias (
    address varchar(255) PRIMARY KEY, goto text NOT NULL,
    domain varchar(255) NOT NULL, active {flag} NOT NULL);
CREATE TABLE alias_domain (
    alias_domain varchar(255) PRIMARY KEY, target_domain varchar(255) NOT NULL,
    active {flag} NOT NULL);
INSERT INTO domain (domain, backupmx, active) VALUES
    ('ALL', {no}, {yes}), ('example.com', {no}, {yes}), ('example.org', {no}, {yes}),
    ('example.net', {no}, {yes}), ('old.example', {no}, {no});
INSERT INTO domain (domain, transport, backupmx, active) VALUES
    ('backup.example', 'smtp:[mx.backup.example]', {yes}, {yes});
INSERT INTO mailbox (username, maildir, domain, active) VALUES
    ('bob@example.com', '{folder}bob{at}/', 'example.com', {yes}),
    ('ann.o''neill@example.com', '{folder}ann.o''neill{at}/', 'example.com', {yes}),
    ('left@example.com', '{folder}left{at}/', 'example.com', {no}),
    ('joe@example.net', '{joe}/', 'example.net', {yes});
INSERT INTO alias (address, goto, domain, active) VALUES
    ('bob@example.com', 'bob@example.com', 'example.com', {yes}),
    ('ann.o''neill@example.com', 'ann.o''neill@example.com,ann@elsewhere.example',
     'example.com', {yes}),
    ('left@example.com', 'left@example.com', 'example.com', {no}),
    ('team@example.com', 'bob@example.com,ann.o''neill@example.com', 'example.com',
     {yes}),
    ('postmaster@example.com', 'bob@example.com', 'example.com', {yes}),
    ('joe@example.net', 'joe@example.net', 'example.net', {yes}),
    ('@example.net', 'joe@example.net', 'example.net', {yes});
INSERT INTO alias_domain VALUES ('example.org', 'example.com', {yes});
"""

_ALIASES = {
    "ann.o'neill@example.com": ["ann.o'neill@example.com"],
    "team@example.com": ["bob@example.com", "ann.o'neill@example.com"],
    "bob+lists@example.com": ["bob+lists@example.com"],
    "postmaster@example.com": ["bob@example.com"],
    "team@example.org": ["bob@example.com", "ann.o'neill@example.com"],
    "bob@example.org": ["bob@example.com"],
    "who.ever@example.net": ["joe@example.net"],
}
_UNKNOWN = ["nobody@example.com", "left@example.com", "nobody@example.org"]

# As how-tos have it: some of these names are not Postfix's, and others are not set.
_PROXY_READ_MAPS = (
    "$local_recipient_maps $mydestination $virtual_alias_maps $virtual_alias_domains"
    " $virtual_mailbox_maps $virtual_mailbox_domains $relay_recipient_maps"
    " $relay_domains $canonical_maps $sender_canonical_maps $recipient_canonical_maps"
    " $relocated_maps $transport_maps $mynetworks $virtual_mailbox_limit_maps"
)


# With MySQL, as its documentation has them.
_MYSQL = {
    "virtual_domains_maps": """
        SELECT domain FROM domain
        WHERE domain='%s' AND backupmx = '0' AND active = '1'""",
    "virtual_alias_maps": """
        SELECT goto FROM alias WHERE address='%s' AND active = '1'""",
    "virtual_alias_domain_maps": """
        SELECT goto FROM alias,alias_domain
        WHERE alias_domain.alias_domain = '%d'
        AND alias.address = CONCAT('%u', '@', alias_domain.target_domain)
        AND alias.active = 1 AND alias_domain.active = 1""",
    "virtual_alias_domain_catchall_maps": """
        SELECT goto FROM alias,alias_domain
        WHERE alias_domain.alias_domain = '%d'
        AND alias.address = CONCAT('@', alias_domain.target_domain)
        AND alias.active = 1 AND alias_domain.active = 1""",
    "virtual_mailbox_maps": """
        SELECT maildir FROM mailbox WHERE username='%s' AND active = '1'""",
    "virtual_alias_domain_mailbox_maps": """
        SELECT maildir FROM mailbox,alias_domain
        WHERE alias_domain.alias_domain = '%d'
        AND mailbox.username = CONCAT('%u', '@', alias_domain.target_domain)
        AND mailbox.active = 1 AND alias_domain.active = 1""",
    "relay_domains": """
        SELECT domain FROM domain WHERE domain='%s' AND backupmx = '1'""",
    "transport_maps": """
        SELECT transport FROM domain WHERE domain='%s'""",
}
_PGSQL = {
    "virtual_domains_maps": """
        SELECT domain FROM domain
        WHERE domain='%s' AND backupmx = false AND active = true""",
    "virtual_alias_maps": """
        SELECT goto FROM alias WHERE address='%s' AND active = true""",
    "virtual_alias_domain_maps": """
        SELECT goto FROM alias JOIN alias_domain
        ON alias.address = '%u' || '@' || alias_domain.target_domain
        WHERE alias_domain.alias_domain = '%d'
        AND alias.active AND alias_domain.active""",
    "virtual_mailbox_maps": """
        SELECT maildir FROM mailbox WHERE username='%s' AND active = true""",
    "relay_domains": """
        SELECT domain FROM domain WHERE domain='%s' AND backupmx = true""",
}


def _mysql(it: Site) -> None:
    flags = {"flag": "tinyint(1)", "yes": 1, "no": 0}
    it.fill(
        _SCHEMA.format(**flags, folder="example.com/", at="", joe="example.net/joe")
    )

    def tables(*names: str) -> str:
        found = [it.query(f"sql/mysql_{one}.cf", _MYSQL[one]) for one in names]
        return ",\n    ".join(f"proxy:{one}" for one in found)

    it.set(
        virtual_mailbox_domains=tables("virtual_domains_maps"),
        virtual_alias_maps=tables(
            "virtual_alias_maps",
            "virtual_alias_domain_maps",
            "virtual_alias_domain_catchall_maps",
        ),
        virtual_mailbox_maps=tables(
            "virtual_mailbox_maps", "virtual_alias_domain_mailbox_maps"
        ),
        relay_domains=tables("relay_domains"),
        transport_maps=tables("transport_maps"),
        virtual_mailbox_base=str(it.mail),
        virtual_minimum_uid="150",
        virtual_uid_maps="static:5000",
        virtual_gid_maps="static:5000",
        dovecot_destination_recipient_limit="1",
        proxy_read_maps=_PROXY_READ_MAPS,
        recipient_delimiter="+",
        mydestination="localhost, localhost.localdomain",
        message_size_limit="25600000",
        virtual_mailbox_limit="0",
    )
    it.services.append(
        "dovecot unix - n n - - pipe flags=DRhu user=nobody"
        " argv=/usr/lib/dovecot/deliver -d ${recipient}"
    )


def _pgsql(it: Site) -> None:
    flags = {"flag": "boolean", "yes": "true", "no": "false"}
    it.fill(
        _SCHEMA.format(**flags, folder="", at="@example.com", joe="joe@example.net")
    )

    def tables(*names: str) -> str:
        found = [it.query(f"pgsql/{one}.cf", _PGSQL[one]) for one in names]
        return " ".join(f"proxy:{one}" for one in found)

    it.set(
        relay_domains="$mydestination, " + tables("relay_domains"),
        virtual_mailbox_domains=tables("virtual_domains_maps"),
        virtual_alias_maps=tables("virtual_alias_maps", "virtual_alias_domain_maps"),
        virtual_mailbox_maps=tables("virtual_mailbox_maps"),
        virtual_mailbox_base=str(it.mail),
        virtual_mailbox_limit="512000000",
        virtual_minimum_uid="8",
        virtual_uid_maps="static:5000",
        virtual_gid_maps="static:5000",
        local_recipient_maps="$virtual_mailbox_maps",
        proxy_read_maps=_PROXY_READ_MAPS,
        recipient_delimiter="+",
        mydestination="localhost",
    )


SHAPES = (
    Shape(
        "PostfixAdmin with MySQL",
        _mysql,
        {
            "bob@example.com": "example.com/bob/",
            "ann.o'neill@example.com": "example.com/ann.o'neill/",
            "joe@example.net": "example.net/joe/",
        },
        _ALIASES,
        _UNKNOWN,
        "mariadb",
    ),
    Shape(
        "PostfixAdmin with PostgreSQL",
        _pgsql,
        {
            "bob@example.com": "bob@example.com/",
            "ann.o'neill@example.com": "ann.o'neill@example.com/",
            "joe@example.net": "joe@example.net/",
        },
        _ALIASES,
        _UNKNOWN,
        "postgresql",
    ),
)
