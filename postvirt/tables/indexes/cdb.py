"""cdb:/path reads /path.cdb, an index that is replaced as a whole, never changed.

The file begins with 256 pointers to hash tables. A slot in such a table contains a hash
and the offset of a record; a record contains two lengths, the key and the value.
postmap writes keys and values without a NUL at the end; those with one are found, too.
An empty table is 2,048 zero bytes. No lock is needed.

Parity: src/util/dict_cdb.c, and the library tinycdb.
Differs: Truncated cdb files. A truncated `cdb:` file is an error when it is opened;
    virtual(8) answers from what is left, or ends its process.
Raises: TableError.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

from postvirt.errors import TableError
from postvirt.model.text import wire
from postvirt.tables.context import TableContext, TableType
from postvirt.tables.indexes.index import IndexTable, cannot_open, warn_if_older
from postvirt.tables.table import Table, TableFile, TableOptions

# Two little-endian numbers: offset and length, hash and offset, or two lengths.
_PAIR = struct.Struct("<II")
_TABLES = 256
_HEADER = struct.Struct(f"<{2 * _TABLES}I")

# Size of a block when all records are read.
_BLOCK_BYTES = 1 << 16

# The hash function of cdb.
_HASH_START = 5381
_HASH_MASK = 0xFFFFFFFF


def _hash(key: bytes) -> int:
    value = _HASH_START
    for byte in key:
        value = (value * 33 & _HASH_MASK) ^ byte
    return value


def _no_lock(fd: int, operation: int) -> None:
    """No program writes to the file once it has its final name."""


class CdbTable(IndexTable):
    """An open .cdb file."""

    def __init__(self, path: str, options: TableOptions, type_: str, fd: int) -> None:
        super().__init__(type_, path, options, fd=fd, lock=_no_lock, multi_writer=False)
        header = os.pread(fd, _HEADER.size, 0)
        size = os.fstat(fd).st_size
        if len(header) < _HEADER.size:
            raise _corrupt()
        numbers = _HEADER.unpack(header)
        self._tables = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        for place, slots in self._tables:
            if slots and place + slots * _PAIR.size > size:
                raise _corrupt()

    def get(self, key: bytes) -> bytes | None:
        """Read one entry."""
        wanted = _hash(key)
        table, slots = self._tables[wanted % _TABLES]
        if not slots:
            return None
        first = wanted // _TABLES % slots
        for step in range(slots):
            slot = table + (first + step) % slots * _PAIR.size
            hash_, record = self._pair(slot)
            if not record:
                return None
            if hash_ == wanted:
                key_bytes, value_bytes = self._pair(record)
                if key_bytes != len(key):
                    continue
                start = record + _PAIR.size
                content = self._read(start, key_bytes + value_bytes)
                if content.startswith(key):
                    return content[key_bytes:]
        return None

    def read_on(self, most: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Read the records, which lie between the pointers and the first hash table."""
        place: int = _HEADER.size
        end = min((table for table, slots in self._tables if slots), default=0)
        while place < end:
            entries: list[tuple[bytes, bytes]] = []
            block = os.pread(self.fd, min(_BLOCK_BYTES, end - place), place)
            at = 0
            while len(entries) < most and place + at < end:
                if at + _PAIR.size > len(block):
                    break
                key_bytes, value_bytes = _PAIR.unpack_from(block, at)
                after = at + _PAIR.size + key_bytes + value_bytes
                if place + after > end:
                    raise _corrupt()
                if after > len(block):
                    break
                start = at + _PAIR.size
                middle = start + key_bytes
                entries.append((block[start:middle], block[middle:after]))
                at = after
            if not entries:  # the next record is longer than a block
                entries.append(self._record(place))
                at = _PAIR.size + sum(map(len, entries[0]))
            yield entries
            place += at

    def count(self) -> int:
        """A hash table has two slots for each of its records."""
        total: int = sum(slots for _, slots in self._tables)
        return total // 2

    def _record(self, place: int) -> tuple[bytes, bytes]:
        key_bytes, value_bytes = self._pair(place)
        content = self._read(place + _PAIR.size, key_bytes + value_bytes)
        return content[:key_bytes], content[key_bytes:]

    def _pair(self, place: int) -> tuple[int, int]:
        first, second = _PAIR.unpack(self._read(place, _PAIR.size))
        return first, second

    def _read(self, place: int, count: int) -> bytes:
        content = os.pread(self.fd, count, place)
        if len(content) < count:
            raise _corrupt()
        return content

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


def _corrupt() -> OSError:
    return OSError(errno.EPROTO, os.strerror(errno.EPROTO))


def _files(name: str, _context: TableContext) -> tuple[TableFile, ...]:
    return (TableFile(f"{name}.cdb"),)


def _open_table(
    type_: str, name: str, options: TableOptions, context: TableContext
) -> Table:
    """Open the index."""
    path = f"{name}.cdb"
    try:
        fd = os.open(wire(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise cannot_open(path, error) from None
    try:
        table = CdbTable(path, options, type_, fd)
    except OSError as error:
        os.close(fd)
        raise TableError(f"unable to init {path}: {error.strerror}") from None
    warn_if_older(path, name, fd, context)
    return table


TYPE = TableType(_open_table, _files)
