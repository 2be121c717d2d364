"""Make data survive a power cut, with the sequence that every file system honours.

A file's data is on disk after fsync of the file, a new name after fsync of the
directory that holds it. A failed fsync is never tried again: the kernel has dropped the
dirty pages by then, and a second call would report success for data that is lost.

Raises: OSError.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable


def commit_file(fd: int) -> None:
    """Wait until the file's data and inode are on disk."""
    os.fsync(fd)


def commit_directories(directories: Iterable[int]) -> None:
    """Wait until the names in these directories are on disk."""
    for directory in directories:
        try:
            os.fsync(directory)
        except OSError as error:
            # Some network and FUSE file systems have no such operation: for them the
            # server decides when a name is durable.
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise


def commit_everything() -> None:
    """Wait until every file system is on disk: the last resort."""
    os.sync()
