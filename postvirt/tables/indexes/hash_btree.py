"""hash:/path and btree:/path read /path.db, an index of Berkeley DB.

On systems without Berkeley DB, non_bdb_migration_level makes these tables lmdb: or cdb:
tables, which read /path.lmdb or /path.cdb; see `redirection`.

This module imports the driver; `table_types` imports it only if it is needed.

Parity: src/util/dict_db.c.
Differs: Truncated Berkeley DB files. A `hash:` or `btree:` file that has lost its last
    pages is an error, and mail is deferred; virtual(8) does not find what was in them,
    and mail bounces.
Differs: Damaged Berkeley DB files. More kinds of damage in a `hash:` or `btree:` file
    are an error, and mail is deferred; virtual(8) ends its process. Others still end or
    block the process, because the library trusts the file.
Raises: TableError.
Security: Berkeley DB reads a file DB_CONFIG from its home directory, by default the
    working directory. As in Postfix, it is the directory of the table.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator

from berkeleydb import db

from postvirt.model.text import wire
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.indexes.index import IndexTable, cannot_open, warn_if_older
from postvirt.tables.table import Table, TableFile, TableOptions

_METHODS = {"hash": db.DB_HASH, "btree": db.DB_BTREE}

# Not mapped: a page that is missing is an error then, and no SIGBUS.
_FLAGS = db.DB_RDONLY | db.DB_NOMMAP

# The head of page 0 (DBMETA of Berkeley DB): log number, page number, magic, version,
# page size, four single bytes, free list, number of the last page; and in a btree, the
# least number of keys in a page. The magic tells the byte order.
_META = "8x4xI4xI4x4xI40xI"
_BTREE = 0x053162
_MAGICS = (0x061561, _BTREE)
_PAGE_SIZES = tuple(1 << power for power in range(9, 17))


def _as_oserror(error: db.DBError | SystemError) -> OSError:
    """The same error with errno; Berkeley DB's own numbers are negative.

    SystemError is the driver's for a value of an impossible size.
    """
    if isinstance(error, SystemError):
        return OSError(errno.EIO, "the file is damaged")
    number, words = error.args
    return OSError(number, os.strerror(number) if number > 0 else words)


class BerkeleyTable(IndexTable):
    """An open .db file.

    fd is for the lock and to notice changes. The library opens the file once more, by
    name; if it is replaced in between, fd shows that its own file was removed.
    """

    def __init__(self, type_: str, path: str, options: TableOptions, fd: int) -> None:
        super().__init__(
            type_, path, options, fd=fd, lock=fcntl.flock, multi_writer=False
        )
        self._environment: db.DBEnv | None = None
        self._database: db.DB | None = None
        self._mtime_ns = 0
        self._open()

    def _open(self) -> db.DB:
        """Open the file in an environment that is private to this process."""
        _refuse_damaged(self.fd)
        directory, base = os.path.split(wire(self.name))
        self._mtime_ns = os.fstat(self.fd).st_mtime_ns
        try:
            self._environment = db.DBEnv()
            self._environment.open(
                directory or b".", db.DB_INIT_MPOOL | db.DB_CREATE | db.DB_PRIVATE
            )
            self._database = db.DB(self._environment)
            self._database.open(base, dbtype=_METHODS[self.type], flags=_FLAGS)
        except db.DBError as error:
            self._close_library()
            raise _as_oserror(error) from None
        return self._database

    def _close_library(self) -> None:
        for opened in (self._database, self._environment):
            try:
                if opened is not None:
                    opened.close()
            except db.DBError:
                pass  # of what it found in a damaged file; memory is released
        self._database = self._environment = None

    def get(self, key: bytes) -> bytes | None:
        """Read one entry.

        The library keeps pages in memory. Once postmap has rewritten the file, they do
        not match new pages, and keys would be lost: open it again. The lock is held,
        and `changed` still reports the change.
        """
        if os.fstat(self.fd).st_mtime_ns != self._mtime_ns:
            self._close_library()
        database = self._open() if self._database is None else self._database
        try:
            value: bytes | None = database.get(key)
        except (db.DBError, SystemError) as error:
            raise _as_oserror(error) from None
        return value

    def read_on(self, most: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Advance a cursor, unless the file has been rewritten."""
        database = self._open() if self._database is None else self._database
        mtime_ns = self._mtime_ns
        try:
            cursor = database.cursor()
            try:
                while True:
                    if os.fstat(self.fd).st_mtime_ns != mtime_ns:
                        raise OSError(errno.ESTALE, "the file has just been rewritten")
                    entries: list[tuple[bytes, bytes]] = []
                    while len(entries) < most and (entry := cursor.next()) is not None:
                        entries.append(entry)
                    if not entries:
                        return
                    yield entries
            finally:
                cursor.close()
        except (db.DBError, SystemError) as error:
            raise _as_oserror(error) from None

    def count(self) -> int:
        """Have the library count them."""
        database = self._open() if self._database is None else self._database
        with self._locked():
            try:
                return int(database.stat()["nkeys"])
            except db.DBError as error:
                raise _as_oserror(error) from None

    def close(self) -> None:
        """Close the file."""
        self._close_library()
        os.close(self.fd)


def _files(name: str, _context: TableContext) -> tuple[TableFile, ...]:
    return (TableFile(f"{name}.db"),)


def _open_table(
    type_: str, name: str, options: TableOptions, context: TableContext
) -> Table:
    """Open the index of a hash: or btree: table, once it is not being written."""
    path = f"{name}.db"
    fd = -1
    try:
        fd = os.open(wire(path), os.O_RDONLY | os.O_CLOEXEC)
        if options.lock:
            fcntl.flock(fd, fcntl.LOCK_SH)
        table = BerkeleyTable(type_, path, options, fd)
        if options.lock:
            fcntl.flock(fd, fcntl.LOCK_UN)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        raise cannot_open(path, error) from None
    if options.lock:
        warn_if_older(path, name, fd, context)
    return table


def _refuse_damaged(fd: int) -> None:
    """Raise OSError if the file cannot be what its first page says.

    The library would divide by a page size of 0, or by 0 keys in a page.
    """
    for order in "<>":
        meta = struct.Struct(order + _META)
        head = os.pread(fd, meta.size, 0)
        if len(head) < meta.size:
            return  # the library reports the error
        magic, page_bytes, last_page, least_keys = meta.unpack(head)
        if magic not in _MAGICS:
            continue
        if page_bytes not in _PAGE_SIZES or (magic == _BTREE and not least_keys):
            raise OSError(errno.EINVAL, "the file is damaged")
        if os.fstat(fd).st_size < (last_page + 1) * page_bytes:
            raise OSError(errno.EINVAL, "the file is truncated")


TYPE = TableType(_open_table, _files)
