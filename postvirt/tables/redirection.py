"""hash: and btree: tables that are opened as another type, without Berkeley DB.

    non_bdb_migration_level  disable, the default: every table has the type in its name.
                             enable-redirect: hash:/path is opened as another type.
                             enable-reindex: the same; see below
    non_bdb_custom_mapping   a table, not hash: or btree:, which says for hash:/path or
                             btree:/path, or else for hash or btree, what type to open
    default_database_type    the type to open in place of hash: when that says nothing,
    default_cache_db_type    and in place of btree:
    non_bdb_migration_log_redirect
                             log each table that is opened as another type (yes)

With the default nothing changes.

The mapping is queried as mail_owner, whenever a table is opened. Its own tables are not
opened as other types.

Parity: src/global/nbdb_util.c, nbdb_redirect.c of Postfix 3.11; older versions do not
    know these parameters.
Differs: Missing index files. With `non_bdb_migration_level = enable-reindex`, Postfix
    3.11 has nbdb_reindexd(8) create an index file that is missing; postvirt reports an
    error until another Postfix program, or postmap(1), has created it.
Raises: TableError if there is no type to open; ConfigError for a mapping that is not
    "type:name" (Postfix: fatal).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from postvirt.config.parameters import Settings
from postvirt.errors import TableError
from postvirt.model.text import text, wire
from postvirt.tables.complaint import OpenError, complaint_of
from postvirt.tables.table import Table, TableOptions

# Types of Berkeley DB, and the parameters that name what to open instead.
_DEFAULTS = {"hash": "default_database_type", "btree": "default_cache_db_type"}

# The types whose files nbdb_reindexd(8) knows.
_REINDEXED = ("cdb", "lmdb")

# Opens the mapping.
OpenTable = Callable[[str, TableOptions], Table]


class Redirection(NamedTuple):
    """The parameters; by default, nothing is redirected.

    level      non_bdb_migration_level, in lower case
    mapping    non_bdb_custom_mapping
    defaults   the type to open in place of "hash", and of "btree"
    is_logged  whether to log which tables are opened as another type
    utf8       smtputf8_enable, for the mapping
    """

    level: str = "disable"
    mapping: str = ""
    defaults: Mapping[str, str] = MappingProxyType({})
    is_logged: bool = False
    utf8: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Redirection:
        """As main.cf and -o say."""
        return cls(
            settings.non_bdb_migration_level.lower(),
            settings.non_bdb_custom_mapping,
            {
                "hash": settings.default_database_type,
                "btree": settings.default_cache_db_type,
            },
            settings.non_bdb_migration_log_redirect,
            settings.smtputf8_enable,
        )

    @property
    def is_enabled(self) -> bool:
        """Whether any table may be opened as another type."""
        return self.level != "disable"

    def actual_type(self, type_: str, name: str, open_table: OpenTable) -> str:
        """The type to open "type:name" as; for most tables their own.

        open_table opens the mapping.
        """
        if type_ not in _DEFAULTS or not self.is_enabled:
            return type_
        try:
            found = self._mapped(type_, name, open_table)
        except TableError as error:
            table = f"'{type_}:{name}'"
            complaint = complaint_of(error)
            why = (
                f"Berkeley DB type mapping lookup error for {table}:"
                f" {complaint.log_line}"
            )
            raise OpenError(complaint._replace(text=why, line=0)) from None
        if self.level == "enable-reindex" and found not in _REINDEXED:
            raise TableError(
                f"non-Berkeley-DB mapped type '{found}' has no known pathname suffix"
            )
        return found

    def _mapped(self, type_: str, name: str, open_table: OpenTable) -> str:
        found = self._custom(type_, name, open_table)
        if found is None:
            found = self.defaults[type_]
        if not re.fullmatch("[A-Za-z0-9]+", found):
            raise TableError(f"bad non-legacy database type syntax: '{found}'")
        if found in _DEFAULTS:
            raise TableError(
                f"mapping from '{type_}' to legacy type '{found}'"
                f" (set {_DEFAULTS[type_]}, for example to lmdb)"
            )
        return found

    def _custom(self, type_: str, name: str, open_table: OpenTable) -> str | None:
        """The type in non_bdb_custom_mapping for the table, or for its type."""
        if not self.mapping:
            return None
        mapping_type = self.mapping.partition(":")[0]
        if mapping_type in _DEFAULTS:
            raise TableError(
                f"non_bdb_custom_mapping must not use legacy type: '{mapping_type}'"
            )
        table = open_table(
            self.mapping, TableOptions(utf8=self.utf8, fold=True, must_open=True)
        )
        try:
            found = table.lookup(wire(f"{type_}:{name}"))
            if found is None:
                found = table.lookup(wire(type_))
        finally:
            table.close()
        return None if found is None else text(found)


# Every table has the type in its name.
DISABLED = Redirection()
