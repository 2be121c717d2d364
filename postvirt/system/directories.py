"""Create directories on demand, and open directories to make names in them durable.

Parity: src/util/make_dirs.c.
Raises: OSError, with the errno that Postfix would report.
Security: called while acting as the owner, so that nothing is created where the owner
could not create it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from postvirt.model.effects import Directory
from postvirt.system import file_identity
from postvirt.system.descriptors import close


def make_directories(path: bytes, mode: int) -> list[bytes]:
    """Create `path` and missing directories above it; the directories that are new.

    A new directory gets the group that this thread works on files as, also below a
    directory whose set-gid bit would give it another one.
    """
    made: list[bytes] = []
    for place in places_on_the_way(path):
        _make_one(place, mode, made)
    return made


def places_on_the_way(path: bytes) -> Iterator[bytes]:
    """The directories that are needed, from the top down to `path` itself."""
    end = 0
    while end < len(path):
        end = path.find(b"/", end + 1)
        if end < 0:
            end = len(path)
        place = path[:end]
        if place.strip(b"/"):
            yield place


def _make_one(place: bytes, mode: int, made: list[bytes]) -> None:
    try:
        status = os.stat(place)
    except FileNotFoundError:
        try:
            os.mkdir(place, mode)
            made.append(place)
        except FileExistsError:
            pass  # another process was faster
        status = os.stat(place)
        gid = file_identity.gid()
        if stat.S_ISDIR(status.st_mode) and status.st_gid != gid:
            os.chown(place, -1, gid)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def open_directory(path: bytes) -> Directory | None:
    """Open a directory in order to sync it; None if its owner may not read it.

    A directory that may be searched and written but not read (mode 0300) cannot be
    opened, so it cannot be synced by itself.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return None
    try:
        status = os.fstat(fd)
    except BaseException:
        close(fd)
        raise
    return Directory(fd, status.st_dev, status.st_ino)
