"""Tables that the watchdog process opens for its workers, before it forks them.

The whole of a small text file is in memory once its table is open. A worker that finds
it there need not read and parse it again, which was a tenth of what a worker costs; it
only sees that the file is still the one that was read. All other tables are opened by
the workers, and so is a table with anything wrong: they log what it is.

The watchdog process can read more than a worker, and must not wait for anything. So it
reads only what anyone may read and only root can replace, unless it is large, was just
written, or is on another machine.

Raises: nothing but what `refuse` does.
"""

from __future__ import annotations

import os
import stat
from typing import Final, NamedTuple

from postvirt.errors import ConfigError, TableError
from postvirt.system import mounts
from postvirt.system.file_systems import is_remote
from postvirt.system.path_control import may_others_write, way_to
from postvirt.tables.complaint import Complaint, OpenError
from postvirt.tables.context import TableContext
from postvirt.tables.table import Table, TableOptions
from postvirt.tables.text_version import TextVersion

# So much takes 16 ms for texthash, 85 for cidr, and 100 to 135 for rules of pcre or
# regexp: once for each version of the file, and less than a worker may give no sign.
MOST_BYTES: Final = 256 * 1024


class Opened(NamedTuple):
    """An open table, None where workers have to open it, and what it was read from."""

    table: Table | None = None
    texts: tuple[TextVersion, ...] = ()

    def is_current(self) -> bool:
        """Whether the files are what was read."""
        return all(text.is_current() for text in self.texts)


# A version that is never current.
_AGAIN: Final = Opened(None, (TextVersion("/dev/null/none"),))


class Ahead:
    """The tables that are open, by the names that OpenTables has for them."""

    def __init__(self, context: TableContext) -> None:
        """The context raises what is wrong with a table (`refuse`)."""
        self._context: Final = context
        self._known: Final[dict[str, Opened]] = {}

    def open(self, label: str, type_name: str, options: TableOptions) -> Opened:
        """In the watchdog process: open a table, unless that is done or is no good.

        A worker has opened it before, so its files answer.
        """
        known = self._known.get(label)
        if known is None or not known.is_current():
            known = self._known[label] = self._read(type_name, options)
        return known

    def opened(self, label: str) -> Opened | None:
        """In a worker: the table, if its files are still what was read."""
        known = self._known.get(label)
        if known is None or known.table is None or not known.is_current():
            return None
        return known

    def _read(self, type_name: str, options: TableOptions) -> Opened:
        if not self._context.is_in_memory(type_name):
            return Opened()
        texts = tuple(map(TextVersion, self._context.text_files(type_name)))
        if not all(text.is_settled() for text in texts):
            return _AGAIN
        if not all(_is_roots_own(text.path) for text in texts):
            return Opened()  # not to be touched again
        if not all(_is_fit(text.path) for text in texts):
            return Opened(None, texts)
        try:
            must_open = options._replace(must_open=True)
            return Opened(self._context.open(type_name, must_open), texts)
        except (ConfigError, TableError):
            return Opened(None, texts)  # the worker logs why


def refuse(complaint: Complaint) -> None:
    """Have a table not opened here. Raises: OpenError."""
    raise OpenError(complaint)


def _is_roots_own(path: bytes) -> bool:
    """Whether only root decides what is there, on this machine."""
    way = way_to(path)
    if not way.is_roots:
        return False
    mount = mounts.covering(mounts.mounted(), os.fsdecode(way.path))
    return mount is not None and not is_remote(mount.type)


def _is_fit(path: bytes) -> bool:
    """Whether a file is small, and readable for anyone."""
    try:
        status = os.stat(path)
        lists = os.listxattr(path)
    except OSError:
        return False
    return (
        stat.S_ISREG(status.st_mode)
        and bool(status.st_mode & stat.S_IROTH)
        and not may_others_write(status)
        and "system.posix_acl_access" not in lists
        and status.st_size <= MOST_BYTES
    )
