"""hash:/path and btree:/path read /path.db, an index of Berkeley DB.

They are read here, without Berkeley DB (`berkeley_hash`, `berkeley_btree`). Its library
trusts the file: of 3,000 files with one damage each, it did not find keys that were
whole in 139, and never returned in 25. The one has mail bounce, the other blocks a
worker, and the caller of a library can prevent neither. It also has to be there, and
Python's module for it has to be compiled. It is faster, by little in a delivery.

On the same machine, in tables of 10^3 and 10^6 entries (us for a key that is found, and
for one that is missing, where most is examined):

    here         hash 13, 30; 11, 71      btree 11, 64; 23, 65      open 0.2 ms, 0.1 MB
    the library  hash 5, 6; 10, 9         btree 7, 5; 11, 10        open 0.4 ms, 1.2 MB

On systems without Berkeley DB, non_bdb_migration_level makes these tables lmdb: or cdb:
tables, which read /path.lmdb or /path.cdb; see `redirection`.

Parity: src/util/dict_db.c.
Differs: Truncated Berkeley DB files. A `hash:` or `btree:` file that has lost its last
    pages is an error, and mail is deferred; virtual(8) does not find what was in them,
    and mail bounces.
Differs: Damaged Berkeley DB files. Damage in a `hash:` or `btree:` file is an error,
    and mail is deferred, unless it is within a single key or value, or makes a chain of
    pages end early; virtual(8) ends its process, waits forever, or does not find other
    entries, and mail bounces.
Differs: Rare Berkeley DB files. `hash:` and `btree:` files with duplicate keys,
    checksums, encryption, several databases, or a format older than that of Berkeley DB
    5 are an error; postmap(1) makes none. A file DB_CONFIG beside them has no effect.
Raises: TableError.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from itertools import islice

from postvirt.model.text import wire
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.indexes.berkeley_btree import BtreeFile
from postvirt.tables.indexes.berkeley_file import BerkeleyFile
from postvirt.tables.indexes.berkeley_hash import HashFile
from postvirt.tables.indexes.index import IndexTable, cannot_open, warn_if_older
from postvirt.tables.table import Table, TableFile, TableOptions

_KINDS: dict[str, type[BerkeleyFile]] = {"hash": HashFile, "btree": BtreeFile}


class BerkeleyTable(IndexTable):
    """An open .db file."""

    def __init__(self, type_: str, path: str, options: TableOptions, fd: int) -> None:
        super().__init__(
            type_, path, options, fd=fd, lock=fcntl.flock, multi_writer=False
        )
        self._file = _KINDS[type_](fd)

    def get(self, key: bytes) -> bytes | None:
        """Read one entry."""
        return self._file.get(key)

    def read_on(self, most: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Read page after page, unless the file has been rewritten."""
        self._file.refresh()
        mtime_ns = os.fstat(self.fd).st_mtime_ns
        entries = self._file.entries()
        while some := list(islice(entries, most)):
            yield some
            if os.fstat(self.fd).st_mtime_ns != mtime_ns:
                raise OSError(errno.ESTALE, "the file has just been rewritten")

    def count(self) -> int:
        """Count the entries of all pages."""
        with self._locked():
            self._file.refresh()
            return self._file.count()

    def close(self) -> None:
        """Close the file."""
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


TYPE = TableType(_open_table, _files)
