"""The tables that a process has open, and whether one of them has changed.

Parity: the list of open tables of src/util/dict.c.
Differs: Changed text files. A changed text file (`texthash:`, `regexp:`, `pcre:`,
    `cidr:`) is noticed as an index file is, a second after it was written; virtual(8)
    reads it when a process starts.
Raises: ConfigError for what is not "type:name" (Postfix: fatal).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from postvirt.errors import ConfigError, TableError
from postvirt.tables.ahead import Ahead, Opened
from postvirt.tables.complaint import Complaint
from postvirt.tables.context import TableContext
from postvirt.tables.table import Table, TableOptions
from postvirt.tables.text_version import TextVersion
from postvirt.tables.unavailable import unavailable

# How long what was opened before a fork is not looked after.
_PAUSE_SECONDS: Final = 1.0


class _Waiting:
    """What is to be called once tables can be opened.

    tables    the labels, names and options of all that it will open, if that is known
    filled    it was called with these, which were opened ahead
    """

    __slots__ = ("fill", "filled", "tables")

    def __init__(
        self, fill: Callable[[], None], tables: Sequence[tuple[str, TableOptions]]
    ) -> None:
        self.fill: Final = fill
        self.tables: Final = [(_label(*one), *one) for one in tables]
        self.filled: list[Table | None] = []


class OpenTables:
    """The tables that a process has open, each once however often it is named.

    all_must_open is daemon_table_open_error_is_fatal: a table that cannot be opened is
    a ConfigError.
    is_later says that this process opens none, but one that is forked by it does: what
    uses tables is made beforehand, and is told in `begin`.
    ahead has the tables that this process opens all the same, in `open_ahead`.
    """

    def __init__(
        self,
        context: TableContext,
        *,
        all_must_open: bool = False,
        is_later: bool = False,
        ahead: Ahead | None = None,
    ) -> None:
        self._waiting: list[_Waiting] | None = [] if is_later else None
        self._ahead = ahead
        self._looks_again_at = 0.0
        self._context = context
        self._tables: dict[str, Table] = {}
        self._texts: dict[str, Sequence[TextVersion]] = {}
        self._all_must_open = all_must_open

    def when_open(
        self,
        fill: Callable[[], None],
        tables: Sequence[tuple[str, TableOptions]] = (),
    ) -> None:
        """Call this as soon as tables can be opened: now, or in `begin`.

        tables    the names and options of all that it will open, if that is known
        """
        if self._waiting is None:
            fill()
        else:
            self._waiting.append(_Waiting(fill, tables))

    def open_ahead(self) -> None:
        """Before a fork: open what `begin` need not open any more.

        Once a second is enough, because `begin` sees what has changed since.
        """
        now = time.monotonic()
        if self._ahead is None or self._waiting is None or now < self._looks_again_at:
            return
        self._looks_again_at = now + _PAUSE_SECONDS
        for one in self._waiting:
            tables = [self._find_ahead(self._ahead, *table) for table in one.tables]
            if None in tables:
                one.filled = []
            elif tables != one.filled:
                one.fill()
                one.filled = tables

    def _find_ahead(
        self, ahead: Ahead, label: str, type_name: str, options: TableOptions
    ) -> Table | None:
        opened = ahead.open(label, type_name, options)
        if opened.table is None:
            self._tables.pop(label, None)
        else:
            self._tables[label], self._texts[label] = opened.table, opened.texts
        return opened.table

    def begin(self) -> None:
        """Open what waits for that, in the order in which it came."""
        waiting, self._waiting = self._waiting or [], None
        if self._ahead is not None:
            for label in list(self._tables):
                if self._ahead.opened(label) is None:  # it has changed since
                    del self._tables[label]
        wait = [
            one
            for one in waiting
            if not one.filled or any(row[0] not in self._tables for row in one.tables)
        ]
        for one in wait:
            one.fill()

    def open(self, type_name: str, options: TableOptions) -> Table:
        """The open table for this text and these options."""
        label = _label(type_name, options)
        if label not in self._tables:
            opened = None if self._ahead is None else self._ahead.opened(label)
            if opened is None:
                # The texts as they are before the table reads them.
                files = self._context.text_files(type_name)
                opened = Opened(None, tuple(map(TextVersion, files)))
            self._texts[label] = opened.texts
            self._tables[label] = opened.table or self._open(type_name, options)
        return self._tables[label]

    def _open(self, type_name: str, options: TableOptions) -> Table:
        if not self._all_must_open:
            return self._context.open(type_name, options)
        try:
            return self._context.open(type_name, options._replace(must_open=True))
        except TableError as error:
            raise ConfigError(str(error)) from None

    def unavailable(self, type_: str, name: str, complaint: Complaint) -> Table:
        """The stand-in for a file of a list that cannot be opened."""
        if self._all_must_open:
            raise ConfigError(complaint.log_line)
        tell = self._context.complain
        return unavailable(type_, name, TableOptions(), complaint, tell)

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


def _label(type_name: str, options: TableOptions) -> str:
    return f"{type_name}(0,{options.flags})"
