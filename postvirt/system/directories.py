"""Create directories on demand, and open directories to make names in them durable.

Parity: src/util/make_dirs.c.
Differs: Directories on FUSE. While a missing directory is created there, a dot lock
    beside it keeps other hosts from doing so, because GlusterFS may become unreadable
    otherwise; virtual(8) has no lock.
Raises: OSError, with the errno that Postfix would report.
Security: called while acting as the owner, so that nothing is created where the owner
could not create it.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from typing import Final

from postvirt.model.effects import Directory
from postvirt.system import file_identity, locks
from postvirt.system.descriptors import close
from postvirt.system.remote_files import is_on_fuse

_LOOKS: Final = 20
_LOOK_SECONDS: Final = 0.005
# The host that holds the lock must be dead.
_STALE_SECONDS: Final = 30


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
        may_be_twice = is_on_fuse(os.path.dirname(place) or b".")
        make = _make_while_locked if may_be_twice else _make
        if make(place, mode):
            made.append(place)
        status = os.stat(place)
        gid = file_identity.gid()
        if stat.S_ISDIR(status.st_mode) and status.st_gid != gid:
            os.chown(place, -1, gid)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def _make(place: bytes, mode: int) -> bool:
    """Create a directory; False if another process was faster."""
    try:
        os.mkdir(place, mode)
    except FileExistsError:
        return False
    return True


def _make_while_locked(place: bytes, mode: int) -> bool:
    """The same, but so that no two hosts do it at once.

    GlusterFS 10 may then keep two directories of one name on different machines, until
    it cannot read the directory above any more. Of files it keeps one.

    Raises: BlockingIOError when another host is at it for too long.
    """
    try:
        close(locks.try_dot_lock(place))
    except FileExistsError:
        _wait_for(place)
        return False
    except OSError as error:
        # A server that fails may be just about to create it for another host.
        if error.errno not in (errno.ENAMETOOLONG, errno.EACCES):
            raise
        return _make(place, mode)
    try:
        return not os.path.lexists(place) and _make(place, mode)
    finally:
        locks.remove_dot_lock(place)


def _wait_for(place: bytes) -> None:
    """Wait until another host has created it, which takes milliseconds."""
    for _ in range(_LOOKS):
        time.sleep(_LOOK_SECONDS)
        if os.path.lexists(place):
            return
    locks.remove_stale_dot_lock(place, _STALE_SECONDS)
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


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
