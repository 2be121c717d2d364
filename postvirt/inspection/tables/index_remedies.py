"""How to make an index file, for the first time or again.

Raises: nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from postvirt.inspection.command import Commands
from postvirt.inspection.commands import PostfixInstance, postalias, postmap, set_date
from postvirt.inspection.tables.table_refs import BERKELEY, Listed

# Their texts have the form of aliases(5).
_ALIASES = ("alias_maps", "alias_database")


def how_to_make(
    of: PostfixInstance, listed: Listed, index: str
) -> tuple[str, Commands]:
    """The remedy and the commands for an index file that does not exist."""
    program, make = _maker(listed)
    path, suffix = os.path.splitext(index)
    table = _table_of(listed, index)
    remedy = f"make the index {table} with {program}"
    commands = make(of, table)
    if not os.path.exists(path):
        remedy = f"create {path}, then {remedy}"
        commands = ()
    for other, other_type in ((".db", "hash"), (".lmdb", "lmdb"), (".cdb", "cdb")):
        if other != suffix and os.path.exists(path + other):
            remedy += f"; or use {path}{other}, as {other_type}:{path}"
    return remedy, commands


def how_to_make_again(
    of: PostfixInstance, listed: Listed, index: str
) -> tuple[str, Commands]:
    """The remedy and the commands for an index file that is older than its source."""
    program, make = _maker(listed)
    remedy = f"make the index again with {program}"
    commands = make(of, _table_of(listed, index))
    source = os.path.splitext(index)[0]
    try:
        edited = os.path.getmtime(source)
    except OSError:
        return remedy, commands
    if edited <= time.time():
        return remedy, commands
    date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(edited))
    why = f"the date of {source} is in the future ({date})"
    return (
        f"{why}: set it with touch, then {remedy}",
        (*set_date(source), *commands) if commands else (),
    )


def _table_of(listed: Listed, index: str) -> str:
    """The table of an index file; a database may have one in its list of domains.

    A hash: table may be opened as another type, which Postfix before 3.11 does not do:
    the type is that of the file.
    """
    path, suffix = os.path.splitext(index)
    type_ = suffix.removeprefix(".")
    if type_ == "db":
        type_ = listed.type if listed.type in BERKELEY else "hash"
    return f"{type_}:{path}"


def _maker(listed: Listed) -> tuple[str, Callable[[PostfixInstance, str], Commands]]:
    """The program that makes it, and its command."""
    if listed.parameter in _ALIASES:
        return "postalias", postalias
    return "postmap", postmap
