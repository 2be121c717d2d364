"""What the table types that read an index file have in common.

postmap may rewrite the file in place at any time, so it is read under the lock that
postmap uses. Keys and values may have a NUL at their end (as Postfix writes them) or
not (as other programs do).

Parity: the common part of src/util/dict_db.c and src/util/dict_lmdb.c.
Differs: Index files that cannot be read. A read error in an index file makes the lookup
    fail, and mail is deferred; virtual(8) ends its process.
Raises: TableError.
"""

from __future__ import annotations

import fcntl
import os
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from postvirt.errors import TableError
from postvirt.model.text import wire
from postvirt.system import log
from postvirt.tables.complaint import (
    Complaint,
    Kind,
    OpenError,
    missing_or_unusable,
)
from postvirt.tables.context import TableContext
from postvirt.tables.table import FileVersion, ListedTable, TableOptions

# A source file that changed this recently is probably being indexed now.
GRACE_SECONDS = 100

# Number of entries to read under one lock, so that postmap does not wait for long.
_ENTRIES_AT_ONCE = 1000

Lock = Callable[[int, int], None]  # fcntl.flock or fcntl.lockf


class IndexTable(ListedTable):
    """Keys and values in a file; a type adds `get`, `read_on`, `count` and `close`.

    fd is an open descriptor of the file. With multi_writer the file may be written
    while it is open, so only its removal is a change.
    """

    def __init__(
        self,
        type_: str,
        name: str,
        options: TableOptions,
        *,
        fd: int,
        lock: Lock,
        multi_writer: bool,
    ) -> None:
        super().__init__(type_, name, options)
        self.fd = fd
        self._version = FileVersion.of(fd)
        self._lock = lock
        self._multi_writer = multi_writer
        # What to append to a key. Once an entry is found, all others are assumed to be
        # like it (DICT_FLAG_TRY1NULL and DICT_FLAG_TRY0NULL).
        self._endings: tuple[bytes, ...] = (b"\0", b"")

    @abstractmethod
    def get(self, key: bytes) -> bytes | None:
        """Read one entry of the file; OSError if that fails."""

    def find(self, key: bytes) -> bytes | None:
        """Try the key with its NUL, then without; the value ends at its first NUL."""
        with self._locked():
            for ending in self._endings:
                value = self.get(key + ending)
                if value is not None:
                    self._endings = (ending,)
                    return value.split(b"\0", 1)[0]
        return None

    @abstractmethod
    def read_on(self, most: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """All entries of the file, at most this many at a time.

        The file is locked while the next entries are read, and not in between. OSError
        if they cannot be read.
        """

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values without their NUL."""
        lists = self.read_on(_ENTRIES_AT_ONCE)
        while True:
            with self._locked():
                entries = next(lists, None)
            if entries is None:
                return
            for key, value in entries:
                yield key.split(b"\0", 1)[0], value.split(b"\0", 1)[0]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock while the file is read; log an error.

        Raises: TableError.
        """
        try:
            if self.options.lock:
                self._lock(self.fd, fcntl.LOCK_SH)
            try:
                yield
            finally:
                if self.options.lock:
                    self._lock(self.fd, fcntl.LOCK_UN)
        except OSError as error:
            reason = f"error reading {self.title}: {error.strerror}"
            log.error(reason)
            raise TableError(reason) from None

    def changed(self) -> bool:
        """Whether the file was rewritten or removed."""
        return self._version.is_outdated(multi_writer=self._multi_writer)


def cannot_open(path: str, error: OSError) -> OpenError:
    """The error for an index file that cannot be opened."""
    text = f"open database {path}: {error.strerror}"
    return missing_or_unusable(error, text, path, Kind.MISSING_INDEX)


def warn_if_older(
    index: str, source: str, index_fd: int, context: TableContext
) -> None:
    """Complain if postmap has not been run; a missing source does not matter."""
    try:
        edited = os.stat(wire(source)).st_mtime
    except OSError:
        return
    if int(edited) > int(os.fstat(index_fd).st_mtime):
        is_new = edited >= time.time() - GRACE_SECONDS
        kind = Kind.EDITED if is_new else Kind.STALE_INDEX
        text = f"database {index} is older than source file {source}"
        context.complain(Complaint(kind, text, file=index))
