"""Rows in a temporary database on disk: a million of them need little memory.

What occurs twice in tables of any size is found in one way: all of it is put here, and
the database groups it. The library removes the file.

Raises: nothing; `trouble` says what went wrong.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

# A database without a name is a temporary file that is never committed nor synced.
_TEMPORARY = ""
_ROWS_AT_ONCE = 1000


class TemporaryRows:
    """A table called "found"; columns are those of SQL.

    trouble   why rows are missing, "" if none are
    """

    def __init__(self, columns: str) -> None:
        self.trouble = ""
        self._database = sqlite3.connect(_TEMPORARY, isolation_level=None)
        places = ", ".join("?" for _ in columns.split(","))
        self._insert = f"INSERT INTO found VALUES ({places})"
        self._waiting: list[Sequence[Any]] = []
        try:
            self._database.execute(f"CREATE TABLE found ({columns})")
            self._database.execute("BEGIN")
        except sqlite3.Error as error:
            self.trouble = str(error)

    def add(self, row: Sequence[Any]) -> None:
        """Put in a row."""
        self._waiting.append(row)
        if len(self._waiting) >= _ROWS_AT_ONCE:
            self._write()

    def _write(self) -> None:
        try:
            if not self.trouble:
                self._database.executemany(self._insert, self._waiting)
        except sqlite3.Error as error:
            self.trouble = str(error)
        self._waiting.clear()

    def ask(self, query: str) -> Iterator[tuple[Any, ...]]:
        """The answer to a query; nothing once there is trouble."""
        if self._waiting:
            self._write()
        try:
            if not self.trouble:
                yield from self._database.execute(query)
        except sqlite3.Error as error:
            self.trouble = str(error)

    def close(self) -> None:
        """Remove them."""
        self._database.close()
