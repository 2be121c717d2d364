"""The table types, and how "type:name" becomes an open table.

A type is a module with a function `open_table(type, name, options)` that raises
TableError when the table cannot be used. The module is imported when the first table of
its type is opened or, in a process that is going to give up its privileges, by
`prepare` before that: afterwards the Python installation may be out of reach.

Parity: src/util/dict_open.c, and the list of open tables of src/util/dict.c.
Differs: Tables that cannot be opened. All tables that cannot be opened are logged, and
    mail that does not need them is delivered; virtual(8) ends its process with the 13th
    error, of whatever kind.
Differs: Changed text files. A changed text file (`texthash:`, `regexp:`, `pcre:`,
    `cidr:`) is noticed as an index file is, a second after it was written; virtual(8)
    reads it when a process starts.
Differs: Types without a reader. `dbm:`, `internal:`, `netinfo:`, `nis:`, `nisplus:` and
    `sdbm:` tables are not supported; the error says which type to use instead.
Raises: ConfigError for what is not "type:name" (Postfix: fatal). Nothing for a table
    that cannot be opened: it is logged and replaced by one that fails when it is asked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import cast

from postvirt.errors import ConfigError, TableError
from postvirt.model.text import wire
from postvirt.system import log
from postvirt.tables import redirection
from postvirt.tables.table import Table, TableFile, TableOptions
from postvirt.tables.unavailable import Unavailable


@dataclass(frozen=True, slots=True)
class TableType:
    """Where a type lives, and what has to be installed for it.

    module   in postvirt.tables
    extra    the optional dependency of postvirt that brings the driver, "" for none
    package  the Debian package that brings the library, "" for none
    is_slow  a lookup may have to wait for another program
    is_text  all of a text file is read when the table is opened
    """

    module: str
    extra: str = ""
    package: str = ""
    is_slow: bool = False
    is_text: bool = False

    @property
    def remedy(self) -> str:
        """How to get what may be missing, or "" if nothing can be."""
        if self.extra:
            return f"pip install 'postvirt[{self.extra}]'"
        return f"apt install {self.package}" if self.package else ""


TYPES = {
    "btree": TableType("indexes.hash_btree", extra="bdb"),
    "cdb": TableType("indexes.cdb"),
    "cidr": TableType("rules.cidr", is_text=True),
    "debug": TableType("composites.debug"),
    "environ": TableType("simple.environ"),
    "fail": TableType("simple.fail"),
    "hash": TableType("indexes.hash_btree", extra="bdb"),
    "inline": TableType("simple.inline"),
    "ldap": TableType("databases.ldap", extra="ldap", is_slow=True),
    "lmdb": TableType("indexes.lmdb", extra="lmdb"),
    "memcache": TableType("unauthorized"),
    "mongodb": TableType("databases.mongodb", extra="mongodb", is_slow=True),
    "mysql": TableType("databases.mysql", extra="mysql", is_slow=True),
    "pcre": TableType("rules.pcre", package="libpcre2-8-0", is_text=True),
    "pipemap": TableType("composites.pipemap"),
    "randmap": TableType("composites.randmap"),
    "regexp": TableType("rules.regexp", is_text=True),
    "socketmap": TableType("unauthorized"),
    "pgsql": TableType("databases.pgsql", extra="pgsql", is_slow=True),
    "sqlite": TableType("databases.sqlite"),
    "static": TableType("simple.static"),
    "tcp": TableType("unauthorized"),
    "texthash": TableType("simple.texthash", is_text=True),
    "unionmap": TableType("composites.unionmap"),
    "unix": TableType("simple.unix", is_slow=True),
}

# Types of Postfix that are not here: Debian does not build them (any more), or only
# Postfix itself can fill them.
_INSTEAD = {
    "dbm": "use lmdb: or hash:",
    "internal": "use inline:",
    "netinfo": "use ldap:",
    "nis": "use ldap:, or lmdb: with the output of ypcat -k",
    "nisplus": "use ldap:",
    "sdbm": "use lmdb: or hash:",
}

Opener = Callable[[str, str, TableOptions], Table]


def split_type(spec: str) -> tuple[str, str]:
    """The type and the name of "type:name"; "proxy:" in front is dropped.

    proxymap(8) exists to share tables and to reach them from a chroot jail. virtual(8)
    does not trust it, and opens the table itself.
    """
    type_, colon, name = spec.partition(":")
    if not type_ or not name:
        shown = spec if not colon else f"{type_}:{name}"
        raise ConfigError(
            f'open dictionary: expecting "type:name" form instead of "{shown}"'
        )
    return split_type(name) if type_ == "proxy" else (type_, name)


def load(type_: str) -> ModuleType:
    """The module of a type; TableError when there is none."""
    unsupported = f"unsupported dictionary type: {type_}"
    if type_ not in TYPES:
        instead = f" ({_INSTEAD[type_]})" if type_ in _INSTEAD else ""
        raise TableError(unsupported + instead)
    known = TYPES[type_]
    try:
        return import_module(f"postvirt.tables.{known.module}")
    except ImportError as error:
        if not known.remedy:
            raise
        raise TableError(f"{unsupported} ({error}; try: {known.remedy})") from None


def _opener(type_: str) -> Opener:
    """The function that opens tables of a type; TableError when there is none."""
    return cast("Opener", load(type_).open_table)


def prepare(names: Iterable[str]) -> list[str]:
    """Import what tables of these "type:name"s need, while that is still possible.

    A type whose tables open others has a function `tables_within(name)` that names
    them. Says nothing about types that are unknown or miss their driver: opening does.
    The result is all names, a table before those that it opens.
    """
    waiting = list(names)
    done: dict[str, None] = {}
    while waiting:
        spec = waiting.pop()
        if spec in done:
            continue
        done[spec] = None
        try:
            type_, name = split_type(spec)
            type_ = redirection.actual_type(type_, name, open_table)
            within = getattr(load(type_), "tables_within", None)
            waiting += within(name) if within else []
        except (ConfigError, TableError):
            pass  # opening it will complain, once, in the process that uses it
    return list(done)


def are_slow(names: Iterable[str]) -> bool:
    """Whether one of these "type:name"s, or what is in it, may have to wait."""
    types = (spec.removeprefix("proxy:").partition(":")[0] for spec in prepare(names))
    return any(type_ in TYPES and TYPES[type_].is_slow for type_ in types)


def files(type_name: str) -> tuple[TableFile, ...]:
    """The files that a table is read from, those included that are not there yet.

    The tables that it opens by itself have files of their own: see `prepare`.
    """
    try:
        type_, name = split_type(type_name)
        module = load(redirection.actual_type(type_, name, open_table))
        found: tuple[TableFile, ...] = (
            module.files(name) if hasattr(module, "files") else ()
        )
    except (ConfigError, TableError):
        return ()  # opening it complains
    return found


def open_table(type_name: str, options: TableOptions) -> Table:
    """Open "type:name" for lookups, or as another type (see `redirection`)."""
    own_type, name = split_type(type_name)
    try:
        type_ = redirection.actual_type(own_type, name, open_table)
    except TableError as error:
        return _unavailable(own_type, name, options, str(error))
    if type_ != own_type and redirection.is_logged():
        log.info(f"redirecting {own_type}:{name} to {type_}:{name}")
    try:
        opener = _opener(type_)
    except TableError as error:
        # Postfix has no UTF-8 rules for a type that does not exist: any key fails.
        return _unavailable(type_, name, replace(options, utf8=False), str(error))
    try:
        return opener(type_, name, options)
    except TableError as error:
        return _unavailable(type_, name, options, str(error))
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        return _unavailable(type_, name, options, f"cannot open {type_}:{name}: {why}")


def _unavailable(type_: str, name: str, options: TableOptions, reason: str) -> Table:
    if options.must_open:
        raise TableError(reason)
    log.error(reason)
    return Unavailable(type_, name, options, reason)


# So long a text file has to be left alone before a change of it counts: somebody may
# still be writing it.
_QUIET_SECONDS = 1.0


class _Text:
    """The text file of a table, as it was when the table was opened.

    A file that is gone is no change: what has been read is better than nothing.
    """

    def __init__(self, path: str) -> None:
        self._path = wire(path)
        self._version, _ = self._look()

    def has_changed(self) -> bool:
        """Whether there is another text now, and nobody seems to be writing it."""
        version, changed_at = self._look()
        if version in (None, self._version):
            return False
        return not 0 <= time.time() - changed_at < _QUIET_SECONDS

    def _look(self) -> tuple[tuple[int, ...] | None, float]:
        try:
            status = os.stat(self._path)
        except OSError:
            return None, 0.0
        version = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        return version, status.st_mtime


def _texts_of(type_name: str) -> list[_Text]:
    """The text files that a table is read from, and the tables that it consists of."""
    names = [
        spec
        for spec in prepare([type_name])
        if (type_ := spec.removeprefix("proxy:").partition(":")[0]) in TYPES
        and TYPES[type_].is_text
    ]
    return [_Text(file.path) for name in names for file in files(name)]


class OpenTables:
    """The tables that a process has open, each once however often it is named.

    all_must_open is daemon_table_open_error_is_fatal: a table that cannot be opened is
    a ConfigError.
    """

    def __init__(self, *, all_must_open: bool = False) -> None:
        self._tables: dict[str, Table] = {}
        self._texts: dict[str, list[_Text]] = {}
        self._all_must_open = all_must_open

    def open(self, type_name: str, options: TableOptions) -> Table:
        """The open table for this text and these options."""
        label = f"{type_name}(0,{options.flags})"
        if label not in self._tables:
            self._texts[label] = _texts_of(
                type_name
            )  # as they are before they are read
            self._tables[label] = self._open(type_name, options)
        return self._tables[label]

    def unavailable(self, type_: str, name: str, reason: str) -> Table:
        """The stand-in for something else that cannot be opened."""
        if self._all_must_open:
            raise ConfigError(reason)
        return _unavailable(type_, name, TableOptions(), reason)

    def _open(self, type_name: str, options: TableOptions) -> Table:
        if not self._all_must_open:
            return open_table(type_name, options)
        try:
            return open_table(type_name, replace(options, must_open=True))
        except TableError as error:
            raise ConfigError(str(error)) from None

    def changed(self) -> str | None:
        """The first changed table as Postfix logs it, "TYPE:NAME(0,FLAGS)"."""
        for label, table in self._tables.items():
            texts = self._texts.get(label, ())
            if table.changed() or any(one.has_changed() for one in texts):
                return label
        return None

    def close(self) -> None:
        """Close all of them."""
        for table in self._tables.values():
            table.close()
        self._tables.clear()
