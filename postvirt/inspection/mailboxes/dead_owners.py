"""Keys of virtual_uid_maps and virtual_gid_maps that are never looked up.

When a mailbox has no owner there, the tables are searched for what people write instead
of an address: a domain, a user, an asterisk, or the name of an account.

Parity: src/global/mail_addr_find.c for the keys that are looked up.
Raises: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from postvirt.errors import TableError
from postvirt.inspection.tables.table_refs import DATABASES
from postvirt.model.text import text
from postvirt.tables.maps import Maps
from postvirt.tables.table import ListedTable, Table

# Enough to find out what the keys of a table look like.
_MOST_LISTED = 1000
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class DeadKeys:
    """Keys in the tables that are no help, and what to write instead.

    only    the value of the only key of the only table, "" if there are others
    """

    keys: Sequence[str]
    remedy: str
    only: str = ""


def dead_keys(maps: Maps, recipients: Sequence[bytes]) -> DeadKeys | None:
    """What the tables contain instead of these recipients."""
    for table in maps.tables:
        if not table.fixed:
            continue
        try:
            found = _in_table(table, recipients)
        except TableError:
            continue  # reported with the lookups
        if found is not None:
            if len(maps.tables) > 1:
                return DeadKeys(found.keys, found.remedy)
            return found
    return None


def dead_key_of_domain(table: Table, domain: bytes) -> tuple[DeadKeys, bytes] | None:
    """A key that is meant for all of a domain, and its value."""
    return _first(table, _for_domain(domain))


def _in_table(table: Table, recipients: Sequence[bytes]) -> DeadKeys | None:
    for recipient in recipients:
        local, _, domain = recipient.rpartition(b"@")
        forms = (*_for_domain(domain), (local, recipient, "the user, %u,"))
        found = _first(table, forms)
        if found:
            return found[0]
    if not isinstance(table, ListedTable):
        return None
    entries = list(islice(table.entries(), _MOST_LISTED))
    dead = [(key, value) for key, value in entries if _is_dead(key)]
    if not dead:
        return None
    remedy = "add the addresses of these mailboxes, or @ and their domain"
    only = text(dead[0][1]) if len(entries) == 1 else ""
    return DeadKeys([text(key) for key, _ in dead[:_MOST_NAMED]], remedy, only)


# A key, the one to write instead, and what to compare with in a query.
_Form = tuple[bytes, bytes, str]


def _for_domain(domain: bytes) -> tuple[_Form, ...]:
    instead = b"@" + domain
    return (
        (domain, instead, "the domain, %d,"),
        (b"*@" + domain, instead, ""),
        (b"." + domain, instead, ""),
    )


def _first(table: Table, forms: Sequence[_Form]) -> tuple[DeadKeys, bytes] | None:
    for key, instead, selector in forms:
        value = table.lookup(key)
        if value is not None:
            remedy = f"write {text(instead)} instead of {text(key)}"
            if table.type in DATABASES and selector:
                remedy = f"compare a column with {selector} and not with %s"
            return DeadKeys([text(key)], remedy), value
    return None


def _is_dead(key: bytes) -> bool:
    """Whether it is neither an address nor a domain with @ before it."""
    local, at, domain = key.rpartition(b"@")
    return not at or not domain or domain == b"*" or local == b"*"
