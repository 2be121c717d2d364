"""sqlite:/path.cf queries a file of the SQLite library.

    dbpath                path of the database
    query                 template of the query: SELECT path FROM t WHERE user = '%s'
    table, select_field, where_field, additional_conditions
                          in place of query, as it was before Postfix 2.2

and `domain`, `result_format` and `expansion_limit`, see `database`. The first column of
each row counts; rows without a value are skipped. What follows the first statement of
a query is ignored.

Parity: src/global/dict_sqlite.c of Postfix 3.12: the database is opened for reading
    only, and a query without quotes around %s is a warning.
Differs: SQLite errors. A lookup in a `sqlite:` table that fails defers mail; virtual(8)
    of Postfix 3.7 ends its process.
Differs: Busy SQLite files. A lookup in a SQLite file that another program is writing
    waits for it; in Postfix it fails at once.
Raises: TableError.
Security: the file may be one that others can write: what is a table in it may as well
    be a view that computes without end.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from urllib.parse import quote as percent_encode

from postvirt.errors import TableError
from postvirt.model.text import wire
from postvirt.tables.complaint import missing_or_unusable
from postvirt.tables.context import TableContext
from postvirt.tables.databases import database
from postvirt.tables.databases.answer_limits import ANSWER_SECONDS
from postvirt.tables.databases.cf_file import CfParameters
from postvirt.tables.databases.database import (
    DatabaseTable,
    bare,
    check_quotes,
    database_type,
    sql_query,
)
from postvirt.tables.databases.template import Fields
from postvirt.tables.table import TableFile, TableOptions

# How long to wait for a writer; Postfix does not.
LOCK_SECONDS = 5.0
# The largest row that is read from the file, with columns that are no results.
MAX_ROW_BYTES = 1 << 24
# Between two checks of the time limit, in instructions of the library.
_STEPS = 10_000


def quote(value: bytes, around: str) -> bytes:
    """A part of an address inside quotes, which are doubled."""
    if not around:
        return bare(value)
    mark = around[-1:].encode()
    return value.replace(mark, mark + mark)


def first_statement(query: str) -> str:
    """The first statement of a query; the driver refuses more than one."""
    end = query.find(";")
    while end >= 0:
        if sqlite3.complete_statement(query[: end + 1]):
            return query[:end]
        end = query.find(";", end + 1)
    return query


class SqliteTable(DatabaseTable):
    """An open database."""

    def __init__(
        self,
        type_: str,
        parameters: CfParameters,
        options: TableOptions,
        context: TableContext,
    ) -> None:
        path = wire(parameters.text("dbpath", minimum=1))
        super().__init__(
            type_,
            parameters,
            options,
            context,
            queries=[first_statement(sql_query(parameters))],
            result=parameters.text("result_format", "%s", minimum=1),
            expansion_limit=parameters.integer("expansion_limit", 0),
        )
        self._path = os.path.abspath(path)
        try:
            self._file = self._identity()
            self._database = sqlite3.connect(
                f"file:{percent_encode(self._path)}?mode=ro",
                uri=True,
                timeout=LOCK_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
        except (OSError, sqlite3.Error) as error:
            super().close()
            reason = error.strerror if isinstance(error, OSError) else error
            shown = parameters.text("dbpath")
            why = f"{self.title}: open database {shown}: {reason}"
            raise missing_or_unusable(error, why, shown) from None
        self._database.text_factory = bytes
        self._database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)
        check_quotes(self.title, self.queries[0], context)

    def _identity(self) -> tuple[int, int]:
        status = os.stat(self._path)
        return status.st_dev, status.st_ino

    def answer(self, key: bytes, fields: Fields) -> bytes | None:
        """Query with the key filled in."""
        return self.joined(key, fields, self._values(fields))

    def _values(self, fields: Fields) -> Iterator[bytes | None]:
        """The first column of every row."""
        shown = self.queries[0].fill(fields).decode("utf-8", "replace")
        deadline = time.monotonic() + ANSWER_SECONDS
        self._database.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        try:
            query = self.queries[0].fill(fields, quote).decode("utf-8")
            rows = self._database.execute(query)
            if rows.description is None:
                raise ValueError("there is nothing in it that has a result")
            for row in rows:
                yield self._as_text(row[0])
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise self.failure(f"query >{shown}< failed: {error}") from None

    def _as_text(self, value: bytes | float | None) -> bytes | None:
        """A value as the library converts it to text."""
        if value is None or isinstance(value, bytes):
            return value
        cast = self._database.execute("SELECT CAST(? AS TEXT)", (value,))
        shown: bytes = cast.fetchone()[0]
        return shown

    def changed(self) -> bool:
        """Whether the parameter file or the database was replaced; not its data."""
        try:
            return super().changed() or self._identity() != self._file
        except OSError:
            return True

    def close(self) -> None:
        """Close the database and the parameter file."""
        self._database.close()
        super().close()


def _files(name: str, context: TableContext) -> tuple[TableFile, ...]:
    """The parameter file, and the database."""
    found = database.files(name, context)
    try:
        parameters = CfParameters(name, context.parameter)
        parameters.close()
        path = os.path.abspath(parameters.text("dbpath", minimum=1))
    except TableError:
        return found
    return (*found, TableFile(path, is_read_live=True))


TYPE = database_type(SqliteTable, files=_files)
