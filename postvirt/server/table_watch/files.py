"""Which files the tables are read from, and which versions of them are there.

Versions are read before the workers open their tables. So a later comparison finds
every change that a worker may have missed.

Raises: nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from postvirt.server.table_watch.versions import Version, version_of
from postvirt.tables.opener import TableOpener
from postvirt.tables.table import TableFile


def files_of(
    tables: TableOpener, type_names: Iterable[str]
) -> dict[str, list[TableFile]]:
    """The files of these tables and of those that they open, by "type:name".

    Paths are absolute. A table may have no file at all.
    """
    found = {}
    for type_name in tables.prepare(type_names):
        found[type_name] = [
            TableFile(os.path.abspath(file.path), file.is_read_live)
            for file in tables.files(type_name)
        ]
    return found


def versions_of(files: Mapping[str, Sequence[TableFile]]) -> dict[str, Version]:
    """The versions of all files, by path."""
    return {
        file.path: version_of(file.path, is_live=file.is_read_live)
        for many in files.values()
        for file in many
    }
