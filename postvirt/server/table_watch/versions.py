"""Which version of a file is there.

The watcher needs this and nothing else that knows about tables, so it stays small.

Raises: nothing; a missing file is a version, too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from postvirt.model.text import wire

# What distinguishes one version of a file from the next; None: there is no file.
Version = Sequence[int] | None


def version_of(path: str, *, is_live: bool) -> Version:
    """The version that is there now; symbolic links are followed.

    A file that is read live (is_live) has the same version until it is replaced.
    """
    try:
        status = os.stat(wire(path))
    except OSError:
        return None
    if is_live:
        return [status.st_dev, status.st_ino]
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]
