"""hash: and btree: tables that are opened as another type, without Berkeley DB.

    non_bdb_migration_level  disable, the default: every table is what its name says.
                             enable-redirect: hash:/path is opened as another type.
                             enable-reindex: the same; see below
    non_bdb_custom_mapping   a table, not hash: or btree:, which says for hash:/path or
                             btree:/path, or else for hash or btree, what type to open
    default_database_type    the type to open in place of hash: when that says nothing,
    default_cache_db_type    and in place of btree:
    non_bdb_migration_log_redirect
                             log each table that is opened as another type (yes)

With the default nothing changes; where the driver for Berkeley DB is not installed
hash: and btree: tables then cannot be opened.

The mapping is asked as mail_owner, whenever a table is opened. Its own tables are not
opened as other types.

Parity: src/global/nbdb_util.c, nbdb_redirect.c of Postfix 3.11; older versions do not
    know these parameters.
Differs: Missing index files. With `non_bdb_migration_level = enable-reindex`, Postfix
    3.11 has nbdb_reindexd(8) create an index file that is missing; postvirt reports an
    error until another Postfix program, or postmap(1), has created it.
Raises: TableError when there is no type to open; ConfigError for a mapping that is not
    "type:name" (Postfix: fatal).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from postvirt.config.parameters import Settings
from postvirt.errors import TableError
from postvirt.model.text import text, wire
from postvirt.tables.table import Table, TableOptions

# Types of Berkeley DB, and the parameters that name what to open instead.
_DEFAULTS = {"hash": "default_database_type", "btree": "default_cache_db_type"}

# The types whose files nbdb_reindexd(8) knows.
_REINDEXED = ("cdb", "lmdb")

_settings: Settings | None = None


def use(settings: Settings) -> None:
    """Open tables from now on as these settings say."""
    global _settings
    _settings = settings


def is_logged() -> bool:
    """Whether to tell which tables are opened as another type."""
    return _settings is not None and _settings.non_bdb_migration_log_redirect


def actual_type(
    type_: str, name: str, open_table: Callable[[str, TableOptions], Table]
) -> str:
    """The type to open "type:name" as; for most tables their own.

    open_table opens the mapping.
    """
    global _settings
    settings = _settings
    if settings is None or type_ not in _DEFAULTS:
        return type_
    level = settings.non_bdb_migration_level.lower()
    if level == "disable":
        return type_
    _settings = None
    try:
        found = _mapped(type_, name, settings, open_table)
    except TableError as error:
        raise TableError(
            f"Berkeley DB type mapping lookup error for '{type_}:{name}': {error}"
        ) from None
    finally:
        _settings = settings
    if level == "enable-reindex" and found not in _REINDEXED:
        raise TableError(
            f"non-Berkeley-DB mapped type '{found}' has no known pathname suffix"
        )
    return found


def _mapped(
    type_: str,
    name: str,
    settings: Settings,
    open_table: Callable[[str, TableOptions], Table],
) -> str:
    found = _custom(type_, name, settings, open_table)
    default = _DEFAULTS[type_]
    if found is None:
        found = str(getattr(settings, default))
    if not re.fullmatch("[A-Za-z0-9]+", found):
        raise TableError(f"bad non-legacy database type syntax: '{found}'")
    if found in _DEFAULTS:
        raise TableError(
            f"mapping from '{type_}' to legacy type '{found}'"
            f" (set {default}, for example to lmdb)"
        )
    return found


def _custom(
    type_: str,
    name: str,
    settings: Settings,
    open_table: Callable[[str, TableOptions], Table],
) -> str | None:
    """What non_bdb_custom_mapping says about the table, or about its type."""
    mapping = settings.non_bdb_custom_mapping
    if not mapping:
        return None
    mapping_type = mapping.partition(":")[0]
    if mapping_type in _DEFAULTS:
        raise TableError(
            f"non_bdb_custom_mapping must not use legacy type: '{mapping_type}'"
        )
    table = open_table(
        mapping,
        TableOptions(utf8=settings.smtputf8_enable, fold=True, must_open=True),
    )
    try:
        found = table.lookup(wire(f"{type_}:{name}"))
        if found is None:
            found = table.lookup(wire(type_))
    finally:
        table.close()
    return None if found is None else text(found)
