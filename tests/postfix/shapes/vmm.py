"""As vmm has it: functions of PostgreSQL, and whole paths below "/".

Each domain has a group, each user a number of its own.
"""

from __future__ import annotations

from tests.harness.shapes import Shape, Site

_SCHEMA = """
CREATE TABLE domains (
    gid bigint PRIMARY KEY, name varchar(255) UNIQUE NOT NULL,
    directory text NOT NULL);
CREATE TABLE users (
    uid bigint PRIMARY KEY, gid bigint NOT NULL REFERENCES domains,
    local_part varchar(64) NOT NULL, mailbox varchar(64) NOT NULL DEFAULT 'Maildir');
CREATE TABLE alias (
    gid bigint NOT NULL REFERENCES domains, address varchar(64) NOT NULL,
    destination varchar(320) NOT NULL);
CREATE TABLE relocated (
    gid bigint NOT NULL REFERENCES domains, address varchar(64) NOT NULL,
    destination varchar(320) NOT NULL);
INSERT INTO domains VALUES
    (70000, 'example.com', '{home}/5/70000'), (70001, 'example.net', '{home}/6/70001');
INSERT INTO users (uid, gid, local_part) VALUES
    (70000, 70000, 'bob'), (70002, 70000, 'ann'), (70003, 70001, 'joe');
INSERT INTO alias VALUES
    (70000, 'team', 'bob@example.com'), (70000, 'team', 'ann@example.com'),
    (70001, 'postmaster', 'bob@example.com');
INSERT INTO relocated VALUES (70000, 'carl', 'carl@elsewhere.example');
CREATE TYPE address_maildir AS (address varchar(320), maildir text);
CREATE FUNCTION postfix_maildir(part varchar, dom varchar) RETURNS SETOF address_maildir
    LANGUAGE SQL STABLE AS $$
    SELECT (part || '@' || dom)::varchar,
        d.directory || '/' || u.uid || '/' || u.mailbox || '/'
    FROM users u JOIN domains d ON u.gid = d.gid
    WHERE u.local_part = part AND d.name = dom $$;
CREATE FUNCTION postfix_uid(part varchar, dom varchar) RETURNS SETOF bigint
    LANGUAGE SQL STABLE AS $$
    SELECT u.uid FROM users u JOIN domains d ON u.gid = d.gid
    WHERE u.local_part = part AND d.name = dom $$;
CREATE FUNCTION postfix_alias(part varchar, dom varchar) RETURNS SETOF varchar
    LANGUAGE SQL STABLE AS $$
    SELECT a.destination FROM alias a JOIN domains d ON a.gid = d.gid
    WHERE a.address = part AND d.name = dom $$;
"""
_QUERIES = {
    "virtual_mailbox_domains": "SELECT gid FROM domains WHERE name = '%s'",
    "virtual_mailbox_maps": "SELECT maildir FROM postfix_maildir('%u', '%d')",
    "virtual_uid_maps": "SELECT postfix_uid('%u', '%d')",
    "virtual_gid_maps": "SELECT gid FROM domains WHERE name = '%d'",
    "virtual_alias_maps": "SELECT postfix_alias('%u', '%d')",
    "relocated_maps": "SELECT r.destination FROM relocated r JOIN domains d"
    " ON r.gid = d.gid WHERE r.address = '%u' AND d.name = '%d'",
}
_FOLDERS = {
    "bob@example.com": ("5/70000", 70000, 70000),
    "ann@example.com": ("5/70000", 70002, 70000),
    "joe@example.net": ("6/70001", 70003, 70001),
}


def _makes(it: Site) -> None:
    it.fill(_SCHEMA.format(home=it.mail))
    for folder, uid, gid in _FOLDERS.values():
        for one in ("5", "6", folder):
            it.directory(one, owner=(0, 0))
        it.directory(f"{folder}/{uid}", owner=(uid, gid))
    it.services.append(
        "dovecot unix - n n - - pipe flags=DORhu user=nobody argv=/bin/true"
    )
    it.set(
        **{name: it.query(f"pgsql-{name}.cf", one) for name, one in _QUERIES.items()},
        virtual_mailbox_base="/",
        virtual_minimum_uid="70000",
        transport_maps="",
        mydestination="localhost",
        recipient_delimiter="+",
        message_size_limit="0",
        virtual_mailbox_limit="0",
    )


SHAPES = (
    Shape(
        "vmm",
        _makes,
        {
            address: f"{folder}/{uid}/Maildir/"
            for address, (folder, uid, _) in _FOLDERS.items()
        },
        {
            "team@example.com": ["bob@example.com", "ann@example.com"],
            "postmaster@example.net": ["bob@example.com"],
            "bob+news@example.com": ["bob+news@example.com"],
        },
        ["nobody@example.com", "bob@example.net"],
        "postgresql",
        owner=lambda address: _FOLDERS[address][1:],
        own_agent="dovecot:",
    ),
)
