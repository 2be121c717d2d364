"""Accounts of a directory that have uid and gid of their own, with a folder for each.

The domain is a part of the name of the entry: `%d` is in search_base. Or the parameters
of the tables are in main.cf, as before Postfix 2.1, and nobody logs in.
"""

from __future__ import annotations

from tests.harness.directory import Slapd
from tests.harness.shapes import Shape, Site


def _makes(it: Site) -> None:
    _fill(it)

    def people(name: str, **parameters: str) -> str:
        return it.search(
            f"ldap-{name}.cf",
            search_base=f"ou=people,o=%d,{it.top}",
            scope="one",
            domain="example.com, example.net",
            timeout="10",
            **{"query_filter": "(&(objectClass=posixAccount)(uid=%u))", **parameters},
        )

    it.set(
        virtual_mailbox_domains=it.search(
            "ldap-domains.cf",
            search_base=it.top,
            scope="one",
            query_filter="(&(objectClass=organization)(o=%s))",
            result_attribute="o",
        ),
        virtual_mailbox_base=str(it.mail),
        virtual_mailbox_maps=people(
            "mailboxes", result_attribute="homeDirectory", result_format="%s/Maildir/"
        ),
        virtual_uid_maps=people("uids", result_attribute="uidNumber"),
        virtual_gid_maps=people("gids", result_attribute="gidNumber"),
        virtual_alias_maps=people(
            "aliases",
            query_filter="(&(objectClass=inetOrgPerson)(mail=%s)(!(uid=%u)))",
            result_attribute="uid",
            result_format="%s@%D",
        ),
        virtual_minimum_uid="1000",
        recipient_delimiter="-",
        mydestination="localhost",
    )


def _makes_in_main_cf(it: Site) -> None:
    _fill(it)
    assert isinstance(it.server, Slapd)
    tables = {
        "accounts": ("homeDirectory", "(&(objectClass=posixAccount)(mail=%s))"),
        "uids": ("uidNumber", "(mail=%s)"),
        "gids": ("gidNumber", "(mail=%s)"),
    }
    for name, (attribute, query) in tables.items():
        parameters = {
            "server_host": "127.0.0.1",
            "server_port": str(it.server.port),
            "version": "3",
            "bind": "no",
            "timeout": "5",
            "search_base": it.top,
            "query_filter": query,
            "result_attribute": attribute,
        }
        it.set(**{f"{name}_{one}": value for one, value in parameters.items()})
    it.set(
        accounts_result_format="%s/Maildir/",
        virtual_mailbox_domains="example.com, example.net",
        virtual_mailbox_base=str(it.mail),
        virtual_mailbox_maps="ldap:accounts",
        virtual_uid_maps="ldap:uids",
        virtual_gid_maps="ldap:gids",
        virtual_minimum_uid="1000",
        mydestination="localhost",
    )


def _fill(it: Site) -> None:
    it.host(_entries(it.top))
    for domain in ("example.com", "example.net"):
        # Nobody but root may make a folder here.
        it.directory(domain, owner=(0, 0))
    for address, folder in _FOLDERS.items():
        it.directory(folder, owner=_owner(address))


_NUMBERS = {"bob@example.com": 5001, "ann@example.com": 5002, "bob@example.net": 5003}
_FOLDERS = {one: "/".join(reversed(one.split("@"))) for one in _NUMBERS}


def _owner(address: str) -> tuple[int, int]:
    return _NUMBERS[address], 6000 + _NUMBERS[address] % 10


def _entries(top: str) -> dict[str, dict[str, list[str]]]:
    entries: dict[str, dict[str, list[str]]] = {}
    for domain in ("example.com", "example.net"):
        entries[f"o={domain},{top}"] = {"objectClass": ["organization"]}
        entries[f"ou=people,o={domain},{top}"] = {"objectClass": ["organizationalUnit"]}
    for address, folder in _FOLDERS.items():
        name, _, domain = address.partition("@")
        uid, gid = _owner(address)
        entries[f"uid={name},ou=people,o={domain},{top}"] = {
            "objectClass": ["inetOrgPerson", "posixAccount"],
            "sn": [name],
            "cn": [name],
            "mail": [address, f"{name}.smith@{domain}"],
            "uidNumber": [str(uid)],
            "gidNumber": [str(gid)],
            "homeDirectory": [folder],
        }
    return entries


SHAPES = (
    Shape(
        "LDAP with uid and gid",
        _makes,
        {address: f"{folder}/Maildir/" for address, folder in _FOLDERS.items()},
        {
            "ann.smith@example.com": ["ann@example.com"],
            "bob.smith@example.net": ["bob@example.net"],
            "ann-lists@example.com": ["ann-lists@example.com"],
        },
        ["nobody@example.com", "ann@example.net"],
        "slapd",
        owner=_owner,
    ),
    Shape(
        "LDAP as it was, in main.cf",
        _makes_in_main_cf,
        {address: f"{folder}/Maildir/" for address, folder in _FOLDERS.items()},
        {},
        ["nobody@example.com", "ann@example.net"],
        "slapd",
        owner=_owner,
    ),
)
