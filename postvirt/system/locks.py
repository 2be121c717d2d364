"""One attempt at each kind of lock; the caller decides when to try again.

Parity: src/util/myflock.c, src/global/dot_lockfile.c.
Differs: Locks of the open file. The fcntl locks belong to the open file (F_OFD_SETLK)
    and not to the process. They exclude the classical fcntl locks of every other
    program all the same, and also other deliveries of this process; closing another
    descriptor of the same file does not release them.
Differs: A clock that is set. A dot lock does not become stale because the clock is set
    forward while a worker runs; virtual(8) removes it then, although it is in use.
Raises: OSError; BlockingIOError (EAGAIN) when another process holds the kernel's lock,
FileExistsError when there is a dot lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable
from typing import Final

from postvirt.system.clock import time_of_day
from postvirt.system.fresh_status import fresh_status_of

Now = Callable[[], float]
_StatusOf = Callable[[bytes], os.stat_result]

_SHARED: Final = fcntl.LOCK_SH | fcntl.LOCK_NB

# struct flock of a 64-bit Linux: type, whence, start, length, pid (0 for OFD locks).
FLOCK_STRUCTURE: Final = struct.Struct("hhqqi4x")


def try_fcntl_lock(fd: int) -> None:
    """Lock the whole file for writing."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _whole_file(fcntl.F_WRLCK))
    except PermissionError:
        # POSIX allows EACCES instead of EAGAIN for a lock that is held.
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None


def give_up_fcntl_lock(fd: int) -> None:
    """Unlock a file that is about to be closed; it does not matter if that fails.

    The kernel does it then, but does not tell the server of a FUSE file system, which
    may hold such a lock for ever.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _whole_file(fcntl.F_UNLCK))
    except OSError:
        pass


def _whole_file(kind: int) -> bytes:
    return FLOCK_STRUCTURE.pack(kind, os.SEEK_SET, 0, 0, 0)


def try_flock(fd: int) -> None:
    """Lock the open file with flock(2)."""
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def try_shared_flock(fd: int) -> None:
    """Lock the open file for reading, as the queue manager expects."""
    fcntl.flock(fd, _SHARED)


def dot_lock_path(path: bytes) -> bytes:
    """The name of a file's dot lock."""
    return path + b".lock"


def is_missing_or_regular(path: bytes) -> bool:
    """Whether a dot lock makes sense beside what is there: not beside a device."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


def try_dot_lock(path: bytes) -> int:
    """Create PATH.lock; that it exists is the lock, whatever its content and mode.

    Returns its descriptor, which may be closed.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.open(dot_lock_path(path), flags, 0)


def remove_stale_dot_lock(
    path: bytes, stale_seconds: int, now: Now = time_of_day
) -> None:
    """Remove PATH.lock if it is so old that the process that created it must be dead.

    Its age counts in whole seconds, as in Postfix. now gives the time of day.

    Raises: OSError when it is stale and cannot be removed.
    """
    if not is_stale_dot_lock(path, stale_seconds, now):
        return
    # On NFS, the one that has replaced it may have its inode number, but is younger.
    seen = _stale_dot_lock(path, stale_seconds, now, fresh_status_of)
    if seen is not None and _is_still_there(path, seen):
        try:
            os.unlink(dot_lock_path(path))
        except FileNotFoundError:
            pass


def is_stale_dot_lock(path: bytes, stale_seconds: int, now: Now = time_of_day) -> bool:
    """Whether there is a PATH.lock that has not changed for stale_seconds."""
    return _stale_dot_lock(path, stale_seconds, now) is not None


def _stale_dot_lock(
    path: bytes, stale_seconds: int, now: Now, status_of: _StatusOf = os.stat
) -> os.stat_result | None:
    try:
        status = status_of(dot_lock_path(path))
    except OSError:
        return None
    changed = status.st_ctime_ns // 1_000_000_000
    return status if int(now()) > changed + stale_seconds else None


def _is_still_there(path: bytes, seen: os.stat_result) -> bool:
    """Whether the lock is the one that was seen, and not what took its place.

    The client of GlusterFS may believe for a second that there is a file that another
    host has replaced, but not when it changes that file.
    """
    lock = dot_lock_path(path)
    try:
        os.utime(lock, follow_symlinks=False)
    except OSError:
        pass  # it is another user's
    try:
        return os.path.samestat(os.stat(lock), seen)
    except OSError:
        return False


def remove_dot_lock(path: bytes) -> None:
    """Remove the dot lock; it does not matter if that fails."""
    try:
        os.unlink(dot_lock_path(path))
    except OSError:
        pass
