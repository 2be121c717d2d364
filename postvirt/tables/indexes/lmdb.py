"""lmdb:/path reads /path.lmdb, an index of the Lightning Memory-Mapped Database.

This module imports the driver; `table_types` imports it only if it is needed.

Parity: src/util/dict_lmdb.c, src/util/slmdb.c.
Raises: TableError.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from itertools import islice
from typing import Final

import lmdb

from postvirt.errors import TableError
from postvirt.model.text import text, wire
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.indexes.index import IndexTable, cannot_open, warn_if_older
from postvirt.tables.table import Table, TableFile, TableOptions

# The two pages with which every file begins.
_META_PAGES = 2


# Some versions of the driver import a part of themselves when they first open a file:
# do that now, while it is possible, with a file that cannot exist.
try:
    lmdb.open(f"{os.devnull}/none", subdir=False, readonly=True, create=False)
except lmdb.Error:
    pass


class _Shared:
    """An environment, and the number of tables that use it."""

    __slots__ = ("environment", "users")

    def __init__(self, environment: lmdb.Environment) -> None:
        self.environment: Final = environment
        self.users = 0


# The library refuses to open a file twice in a process, but two lists may name one
# table with different options. The key is the device and the inode of the file.
_shared: dict[tuple[int, int], _Shared] = {}


class LmdbTable(IndexTable):
    """An open .lmdb file.

    fd is for the lock and to notice changes. The library opens the file once more, by
    name; if it is replaced in between, fd shows that its own file was removed.
    """

    def __init__(self, type_: str, name: str, options: TableOptions, fd: int) -> None:
        super().__init__(
            type_, name, options, fd=fd, lock=fcntl.lockf, multi_writer=True
        )
        file = os.fstat(fd)
        self._id = (file.st_dev, file.st_ino)
        if self._id not in _shared:
            path = wire(f"{name}.lmdb")
            _shared[self._id] = _Shared(_open_environment(path, fd))
        _shared[self._id].users += 1
        self._environment = _shared[self._id].environment

    def get(self, key: bytes) -> bytes | None:
        """Read one entry in a transaction of its own, which ends before the lock."""
        if len(key) > self._environment.max_key_size():
            return None  # cannot have been written
        try:
            try:
                return self._get(key)
            except lmdb.MapResizedError:
                # A writer has enlarged the file; 0 adopts its size.
                self._environment.set_mapsize(0)
                return self._get(key)
        except lmdb.Error as error:  # also for an empty key
            why = str(error).removeprefix("mdb_get: ")
            raise OSError(errno.EIO, why) from None

    def _get(self, key: bytes) -> bytes | None:
        with self._environment.begin() as transaction:
            value: bytes | None = transaction.get(key)
        return value

    def read_on(self, most: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Continue after the last key, each time in a transaction of its own.

        A writer may reuse the pages of an old transaction.
        """
        key = b""
        while True:
            try:
                with self._environment.begin() as transaction:
                    cursor = transaction.cursor()
                    if not (cursor.set_range(key) if key else cursor.first()):
                        return
                    if key and cursor.key() == key and not cursor.next():
                        return
                    entries = list(islice(cursor, most))
            except lmdb.MapResizedError:
                self._environment.set_mapsize(0)
                continue
            except lmdb.Error as error:
                raise OSError(errno.EIO, str(error)) from None
            yield entries
            key = entries[-1][0]

    def count(self) -> int:
        """The number that the file contains."""
        try:
            return int(self._environment.stat()["entries"])
        except lmdb.Error as error:
            raise TableError(f"error reading {self.title}: {error}") from None

    def close(self) -> None:
        """Close the file, for the last table that uses it."""
        shared = _shared[self._id]
        shared.users -= 1
        if shared.users == 0:
            del _shared[self._id]
            shared.environment.close()
        os.close(self.fd)


def _open_environment(path: bytes, fd: int) -> lmdb.Environment:
    """Open the file for reading; OSError if that cannot be done safely."""
    try:
        environment = lmdb.open(
            path, subdir=False, readonly=True, lock=False, create=False
        )
    except lmdb.Error as error:
        why = str(error).removeprefix(f"{text(path)}: ")
        raise OSError(errno.EIO, why) from None
    if _is_truncated(environment, fd):
        environment.close()
        raise OSError(errno.EIO, "the file is truncated")
    return environment


def _files(name: str, _context: TableContext) -> tuple[TableFile, ...]:
    return (TableFile(f"{name}.lmdb", is_read_live=True),)


def _open_table(
    type_: str, name: str, options: TableOptions, context: TableContext
) -> Table:
    """Open the index of an lmdb: table."""
    path = f"{name}.lmdb"
    fd = -1
    try:
        fd = os.open(wire(path), os.O_RDONLY | os.O_CLOEXEC)
        table = LmdbTable(type_, name, options, fd)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        raise cannot_open(path, error) from None
    if options.lock:
        warn_if_older(path, name, fd, context)
    return table


def _is_truncated(environment: lmdb.Environment, fd: int) -> bool:
    """Whether the file is too short for the pages in use.

    Reading a missing page would kill the process with SIGBUS.
    """
    use = environment.stat()
    pages = (
        _META_PAGES + use["branch_pages"] + use["leaf_pages"] + use["overflow_pages"]
    )
    return bool(os.fstat(fd).st_size < pages * int(use["psize"]))


TYPE = TableType(_open_table, _files)
