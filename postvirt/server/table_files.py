"""Which files the tables are read from, and which version of them is there.

A version is taken before the workers open their tables. Whoever compares it later finds
every change that a worker may have missed.

Raises: nothing; a file that is not there is a version, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from postvirt.model.text import wire
from postvirt.tables import registry
from postvirt.tables.table import TableFile

# What tells one version of a file from the next; None: there is no file.
Version = Sequence[int] | None


def files_of(type_names: Iterable[str]) -> dict[str, list[TableFile]]:
    """The files of these tables and of those that they open, by "type:name".

    Paths are absolute. A table may have no file at all.
    """
    found = {}
    for type_name in registry.prepare(type_names):
        found[type_name] = [
            TableFile(os.path.abspath(file.path), file.is_read_live)
            for file in registry.files(type_name)
        ]
    return found


def version_of(file: TableFile) -> Version:
    """The version that is there now; symbolic links are followed."""
    try:
        status = os.stat(wire(file.path))
    except OSError:
        return None
    if file.is_read_live:
        return [status.st_dev, status.st_ino]
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]


def versions_of(files: Mapping[str, Sequence[TableFile]]) -> dict[str, Version]:
    """The versions of all files, by path."""
    return {file.path: version_of(file) for many in files.values() for file in many}
