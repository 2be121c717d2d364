"""The tables that a process has open, and whether one of them has changed.

Parity: the list of open tables of src/util/dict.c.
Differs: Changed text files. A changed text file (`texthash:`, `regexp:`, `pcre:`,
    `cidr:`) is noticed as an index file is, a second after it was written; virtual(8)
    reads it when a process starts.
Raises: ConfigError for what is not "type:name" (Postfix: fatal).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from postvirt.errors import ConfigError, TableError
from postvirt.model.text import wire
from postvirt.tables.complaint import Complaint
from postvirt.tables.context import TableContext
from postvirt.tables.table import Table, TableOptions
from postvirt.tables.unavailable import unavailable

# How long a text file has to be left alone before a change of it counts: a program may
# still be writing it.
_QUIET_SECONDS = 1.0


class _Text:
    """The text file of a table, as it was when the table was opened.

    Parity: none. A file that was removed is not a change, because what has been read
    is better than nothing.
    """

    def __init__(self, path: str) -> None:
        self._path = wire(path)
        self._version, _ = self._look()

    def has_changed(self) -> bool:
        """Whether the text is another one, and no longer being written."""
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


class OpenTables:
    """The tables that a process has open, each once however often it is named.

    all_must_open is daemon_table_open_error_is_fatal: a table that cannot be opened is
    a ConfigError.
    is_later says that this process opens none, but one that is forked by it does: what
    uses tables is made beforehand, and is told in `begin`.
    """

    def __init__(
        self,
        context: TableContext,
        *,
        all_must_open: bool = False,
        is_later: bool = False,
    ) -> None:
        self._waiting: list[Callable[[], None]] | None = [] if is_later else None
        self._context = context
        self._tables: dict[str, Table] = {}
        self._texts: dict[str, list[_Text]] = {}
        self._all_must_open = all_must_open

    def when_open(self, fill: Callable[[], None]) -> None:
        """Call this as soon as tables can be opened: now, or in `begin`."""
        if self._waiting is None:
            fill()
        else:
            self._waiting.append(fill)

    def begin(self) -> None:
        """Open what waits for that, in the order in which it came."""
        waiting, self._waiting = self._waiting or (), None
        for fill in waiting:
            fill()

    def open(self, type_name: str, options: TableOptions) -> Table:
        """The open table for this text and these options."""
        label = f"{type_name}(0,{options.flags})"
        if label not in self._tables:
            # The texts as they are before the table reads them.
            files = self._context.text_files(type_name)
            self._texts[label] = [_Text(path) for path in files]
            self._tables[label] = self._open(type_name, options)
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
