"""Which text file a table was read from, and whether that is still the file.

Parity: none. A file that was removed is not a change, because what has been read is
    better than nothing.
Raises: nothing.
"""

from __future__ import annotations

import os
import time
from typing import Final

from postvirt.model.text import wire

# How long a text file has to be left alone before a change of it counts: a program may
# still be writing it.
_QUIET_SECONDS: Final = 1.0
_SETTLED_SECONDS: Final = 3.0


class TextVersion:
    """The text file of a table, as it was just before the table was opened."""

    __slots__ = ("_times", "_version", "path")

    def __init__(self, path: str) -> None:
        self.path: Final = wire(path)
        status = self._look()
        self._version = _version(status)
        self._times = _times(status)

    def has_changed(self) -> bool:
        """Whether the text is another one, and no longer being written."""
        status = self._look()
        if status is None or _version(status) == self._version:
            return False
        return not 0 <= time.time() - status.st_mtime < _QUIET_SECONDS

    def is_settled(self) -> bool:
        """Whether the version is old enough for the next one to differ from it.

        `read_settled` would wait for a file that was changed two seconds ago.
        """
        now = time.time()
        return all(
            not now - _SETTLED_SECONDS < nanoseconds / 1e9 <= now
            for nanoseconds in self._times
        )

    def is_current(self) -> bool:
        """Whether nothing at all has been done to the file.

        The time that counts cannot be set by a program.
        """
        status = self._look()
        return (
            status is not None
            and _times(status) == self._times
            and _version(status) == self._version
        )

    def _look(self) -> os.stat_result | None:
        try:
            return os.stat(self.path)
        except OSError:
            return None


def _version(status: os.stat_result | None) -> tuple[int, ...] | None:
    if status is None:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _times(status: os.stat_result | None) -> tuple[int, ...]:
    return () if status is None else (status.st_mtime_ns, status.st_ctime_ns)
