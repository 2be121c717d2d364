"""The table types: the module of each, and what has to be installed for it.

The module of a type is imported when the first table of the type is opened or, in a
process that will give up its privileges, before that (`TableOpener.prepare`): later it
may not be able to read the Python installation.

Parity: src/util/dict_open.c.
Differs: Types without a reader. `dbm:`, `internal:`, `netinfo:`, `nis:`, `nisplus:` and
    `sdbm:` tables are not supported; the error says which type to use instead.
Raises: OpenError for an unknown type, or one without its driver.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NamedTuple

from postvirt.config.extras import to_install
from postvirt.errors import ConfigError
from postvirt.tables.complaint import Complaint, Kind, OpenError
from postvirt.tables.context import TableType


class TypeModule(NamedTuple):
    """The module of a type.

    name     of the module in postvirt.tables
    extra    the optional dependency of postvirt that brings the driver, "" for none
    package  the Debian package that brings the library, "" for none
    """

    name: str
    extra: str = ""
    package: str = ""

    @property
    def is_refused(self) -> bool:
        """Whether only other programs of Postfix read such tables."""
        return self.name == "unauthorized"

    @property
    def remedy(self) -> str:
        """How to install what may be missing, "" if nothing may be."""
        if self.extra:
            return to_install(self.extra)
        return f"apt install {self.package}" if self.package else ""


TYPES = {
    "btree": TypeModule("indexes.hash_btree"),
    "cdb": TypeModule("indexes.cdb"),
    "cidr": TypeModule("rules.cidr"),
    "debug": TypeModule("composites.debug"),
    "environ": TypeModule("simple.environ"),
    "fail": TypeModule("simple.fail"),
    "hash": TypeModule("indexes.hash_btree"),
    "inline": TypeModule("simple.inline"),
    "ldap": TypeModule("databases.ldap", extra="ldap"),
    "lmdb": TypeModule("indexes.lmdb", extra="lmdb"),
    "memcache": TypeModule("unauthorized"),
    "mongodb": TypeModule("databases.mongodb", extra="mongodb"),
    "mysql": TypeModule("databases.mysql", extra="mysql"),
    "pcre": TypeModule("rules.pcre", package="libpcre2-8-0"),
    "pipemap": TypeModule("composites.pipemap"),
    "randmap": TypeModule("composites.randmap"),
    "regexp": TypeModule("rules.regexp"),
    "socketmap": TypeModule("unauthorized"),
    "pgsql": TypeModule("databases.pgsql", extra="pgsql"),
    "sqlite": TypeModule("databases.sqlite"),
    "static": TypeModule("simple.static"),
    "tcp": TypeModule("unauthorized"),
    "texthash": TypeModule("simple.texthash"),
    "unionmap": TypeModule("composites.unionmap"),
    "unix": TypeModule("simple.unix"),
}

# What to use in place of types of Postfix that are not here: Debian does not build them
# (any more), or only Postfix itself can fill them.
_INSTEAD = {
    "dbm": "use lmdb: or hash:",
    "internal": "use inline:",
    "netinfo": "use ldap:",
    "nis": "use ldap:, or lmdb: with the output of ypcat -k",
    "nisplus": "use ldap:",
    "sdbm": "use lmdb: or hash:",
}


def split_type(spec: str) -> tuple[str, str]:
    """The type and the name of "type:name"; "proxy:" in front is dropped.

    proxymap(8) exists to share tables and to reach them from a chroot jail. virtual(8)
    does not trust it, and opens the table itself.
    Raises: ConfigError if this is not "type:name" (Postfix: fatal).
    """
    type_, colon, name = spec.partition(":")
    if not type_ or not name:
        shown = spec if not colon else f"{type_}:{name}"
        raise ConfigError(
            f'open dictionary: expecting "type:name" form instead of "{shown}"'
        )
    return split_type(name) if type_ == "proxy" else (type_, name)


def load_type(type_: str) -> TableType:
    """The record of a type, from its module."""
    unsupported = f"unsupported dictionary type: {type_}"
    if type_ not in TYPES:
        instead = f" ({_INSTEAD[type_]})" if type_ in _INSTEAD else ""
        raise OpenError(Complaint(Kind.UNSUPPORTED_TYPE, unsupported + instead))
    known = TYPES[type_]
    module_name = f"postvirt.tables.{known.name}"
    try:
        # Workers find it loaded, and need not go through the import system.
        module = sys.modules.get(module_name) or import_module(module_name)
    except ImportError as error:
        if not known.remedy:
            raise
        why = f"{unsupported} ({error}; try: {known.remedy})"
        raise OpenError(Complaint(Kind.UNSUPPORTED_TYPE, why)) from None
    found: TableType = module.TYPE
    return found
