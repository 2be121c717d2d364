"""How "type:name" becomes an open table.

A TableOpener contains everything that this depends on: the parameters of main.cf, the
types to open hash: and btree: tables as, and where complaints about tables go.

Parity: src/util/dict_open.c.
Differs: Tables that cannot be opened. All tables that cannot be opened are logged, and
    mail that does not need them is delivered; virtual(8) ends its process with the 13th
    error, of whatever kind.
Differs: Tables within tables. A table that is more than 50 levels deep in others, such
    as `unionmap:` in `pipemap:`, cannot be opened; virtual(8) has no limit.
Raises: ConfigError for what is not "type:name" (Postfix: fatal). Nothing for a table
    that cannot be opened: it is logged and replaced by one whose lookups fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from postvirt.config.load import Texts
from postvirt.config.parameters import Settings
from postvirt.errors import ConfigError, TableError
from postvirt.system import log
from postvirt.tables.complaint import (
    Complain,
    Complaint,
    Kind,
    complaint_of,
    ignore_complaint,
    log_complaint,
)
from postvirt.tables.context import TableContext, TableType, no_tables
from postvirt.tables.redirection import DISABLED, Redirection
from postvirt.tables.table import Table, TableFile, TableOptions
from postvirt.tables.table_types import load_type, split_type
from postvirt.tables.unavailable import unavailable

_MOST_LEVELS = 50


class TableOpener(TableContext):
    """Opens tables for a process.

    texts        the parameters of main.cf and -o, for tables that have theirs there
    redirection  what to open hash: and btree: tables as
    tell         is told what is wrong with tables that are opened
    outside      the "type:name"s of the tables that consist of what is opened
    level        how many tables those are in which what is opened is
    """

    def __init__(
        self,
        texts: Callable[[str], str | None],
        redirection: Redirection = DISABLED,
        tell: Complain = log_complaint,
        outside: frozenset[str] = frozenset(),
        level: int = 0,
    ) -> None:
        self.texts: Final = texts
        self._redirection: Final = redirection
        self._tell: Final = tell
        self._outside: Final = outside
        self._level: Final = level

    @classmethod
    def of(cls, settings: Settings, texts: Texts) -> TableOpener:
        """An opener with the parameters of main.cf and -o."""
        return cls(texts, Redirection.of(settings))

    def open(self, type_name: str, options: TableOptions) -> Table:
        """Open "type:name" for lookups, or as another type (see `redirection`)."""
        own_type, name = split_type(type_name)
        try:
            type_ = self._actual_type(own_type, name, self._tell)
        except TableError as error:
            return unavailable(own_type, name, options, complaint_of(error), self._tell)
        if type_ != own_type and self._redirection.is_logged:
            log.info(f"redirecting {own_type}:{name} to {type_}:{name}")
        try:
            table_type = load_type(type_)
        except TableError as error:
            # Postfix has no UTF-8 rules for a type that does not exist: any key fails.
            plain = options._replace(utf8=False)
            return unavailable(type_, name, plain, complaint_of(error), self._tell)
        try:
            return table_type.open(type_, name, options, self._one_level_down())
        except TableError as error:
            complaint = complaint_of(error)
        except OSError as error:
            why = f"cannot open {type_}:{name}: {log.errno_text(error)}"
            complaint = Complaint(Kind.UNUSABLE, why, "error")
        return unavailable(type_, name, options, complaint, self._tell)

    def _one_level_down(self) -> TableOpener:
        """The context of a table that is opened. Raises: TableError."""
        if self._level > _MOST_LEVELS:
            raise TableError(f"more than {_MOST_LEVELS} levels of tables in tables")
        below = self._level + 1
        return TableOpener(
            self.texts, self._redirection, self._tell, self._outside, below
        )

    def _actual_type(self, type_: str, name: str, tell: Complain) -> str:
        """The type to open a table as; the mapping's own tables are not redirected."""
        if not self._redirection.is_enabled:
            return type_
        as_named = TableOpener(self.texts, DISABLED, tell, self._outside, self._level)
        return self._redirection.actual_type(type_, name, as_named.open)

    def _type_and_name(self, type_name: str) -> tuple[TableType, str]:
        """The type to open a table as. Raises: ConfigError, TableError."""
        type_, name = split_type(type_name)
        actual = self._actual_type(type_, name, ignore_complaint)
        return load_type(actual), name

    def prepare(self, names: Iterable[str]) -> list[str]:
        """Import what tables of these "type:name"s need, while that is still possible.

        Types that are unknown or lack their driver are reported when they are opened.
        The result is all names, a table before those that it opens.
        """
        waiting = [(name, 0) for name in names]
        done: dict[str, None] = {}
        while waiting:
            type_name, level = waiting.pop()
            if type_name in done or level > _MOST_LEVELS:
                continue
            done[type_name] = None
            try:
                table_type, name = self._type_and_name(type_name)
                within = table_type.within(name, self)
                waiting += [(one, level + 1) for one in within]
            except (ConfigError, TableError):
                pass  # reported once, by the process that opens it
        return list(done)

    def stand_alone(self, names: Iterable[str]) -> bool:
        """Whether these can be opened, and open no others, whatever files contain."""
        if self._redirection.is_enabled:
            return False
        try:
            types = [self._type_and_name(name)[0] for name in names]
        except (ConfigError, TableError):
            return False
        return all(one.within is no_tables for one in types)

    def _types_within(
        self, type_names: Iterable[str]
    ) -> Iterator[tuple[TableType, str]]:
        """The types and names of these tables and of those that they open."""
        for type_name in self.prepare(type_names):
            try:
                yield self._type_and_name(type_name)
            except (ConfigError, TableError):
                pass  # reported when it is opened

    def are_slow(self, names: Iterable[str]) -> bool:
        """Whether a lookup in one of these, or in its members, may have to wait."""
        return any(one.is_slow for one, _ in self._types_within(names))

    def files(self, type_name: str) -> tuple[TableFile, ...]:
        """The files that a table is read from, including those that do not exist yet.

        The tables that it opens by itself have files of their own: see `prepare`.
        """
        try:
            table_type, name = self._type_and_name(type_name)
            return table_type.files(name, self)
        except (ConfigError, TableError):
            return ()  # reported when it is opened

    def text_files(self, type_name: str) -> list[str]:
        """The text files that this table, and all within it, read when opened."""
        return [
            file.path
            for one, name in self._types_within([type_name])
            if one.is_text
            for file in one.files(name, self)
        ]

    def is_in_memory(self, type_name: str) -> bool:
        """Whether lookups need only what is in memory once this table is open."""
        try:
            table_type, _ = self._type_and_name(type_name)
        except (ConfigError, TableError):
            return False
        return not self._redirection.is_enabled and (
            table_type.is_text or table_type.is_value
        )

    def parameter(self, name: str) -> str | None:
        """The text of a parameter of main.cf or -o, expanded."""
        return self.texts(name)

    def complain(self, complaint: Complaint) -> None:
        """Report what is wrong with a table."""
        self._tell(complaint)

    def telling(self, tell: Complain) -> TableOpener:
        """The same, but this function is told what is wrong with tables."""
        return TableOpener(
            self.texts, self._redirection, tell, self._outside, self._level
        )

    def inside(self, type_name: str) -> TableOpener:
        """The context of tables that this one opens."""
        if type_name in self._outside:
            raise TableError(
                f"{type_name}: its list of domains refers to the table itself"
            )
        outside = self._outside | {type_name}
        return TableOpener(
            self.texts, self._redirection, self._tell, outside, self._level
        )
