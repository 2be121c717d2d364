"""The dot lock of an mbox file, for one delivery.

Others take a lock for stale when its delivery hangs for longer than stale_lock_time,
and a file server that loses its power may lose a lock. Then another process may be
appending to the file. So a delivery that was held up looks whether its lock is still
there, before it changes the file and before it reports its messages; if not, they are
deferred. It does not remove the lock of another process.

The lock stays open: as long as it is, no other file has its inode number.

Parity: src/global/dot_lockfile.c.
Differs: Lost dot locks. When another process has removed the dot lock of a delivery
    that took longer than a second, the mail is deferred, and nothing is truncated;
    virtual(8) removes the dot lock that is there now.
Security: called while acting as the owner, but for forget().
"""

from __future__ import annotations

import errno
import os
import time
from typing import Final

from postvirt.mailbox.errno_dsn import PLACE, DeliveryFailedError
from postvirt.mailbox.locking import Locking
from postvirt.model.text import text
from postvirt.system import locks
from postvirt.system.descriptors import close
from postvirt.system.fresh_status import fresh_status

# Nobody takes a younger lock for stale, and no file server is back so soon.
_SURELY_HELD_SECONDS: Final = 1.0


class LostDotLockError(DeliveryFailedError):
    """Another process has removed the lock, and may have appended to the file."""

    def __init__(self, lock: bytes) -> None:
        reason = f"lock file {text(lock)} was removed by another process"
        super().__init__(errno.EAGAIN, PLACE, reason)


class DotLock:
    """The lock beside `path`; until it is taken there is nothing to lose."""

    def __init__(self, path: bytes) -> None:
        self._path = path
        self._fd = -1
        self._seen_at = 0.0  # by time.monotonic()

    @property
    def is_taken(self) -> bool:
        """Whether there is a lock to give up."""
        return self._fd >= 0

    def take(self) -> None:
        """Create the lock, unless there is a device, where it would make no sense.

        Raises: OSError; FileExistsError when another process has it.
        """
        if locks.is_missing_or_regular(self._path):
            self._seen_at = time.monotonic()
            self._fd = locks.try_dot_lock(self._path)

    def remove_stale(self, locking: Locking) -> None:
        """Remove the lock of a process that must be dead.

        Raises: OSError when it is stale and cannot be removed.
        """
        locks.remove_stale_dot_lock(self._path, locking.stale_seconds, locking.now)

    def check(self) -> None:
        """Raises: LostDotLockError."""
        if self._is_lost():
            raise LostDotLockError(self._lock)

    def give_up(self) -> None:
        """Remove the lock. It does not matter if that fails.

        Raises: LostDotLockError; the lock that is there now is left alone.
        """
        if not self.is_taken:
            return
        try:
            self.check()
        finally:
            self.forget()
        locks.remove_dot_lock(self._path)

    def forget(self) -> None:
        """Leave the lock to those who find it stale; under any identity."""
        if self._fd >= 0:
            close(self._fd)
            self._fd = -1

    def _is_lost(self) -> bool:
        """Whether another process may have had the lock since it was taken."""
        now = time.monotonic()
        if self._fd < 0 or now - self._seen_at < _SURELY_HELD_SECONDS:
            return False
        try:
            lock = fresh_status(self._fd)
            if lock.st_nlink == 0 or not os.path.samestat(lock, os.stat(self._lock)):
                return True
        except OSError:
            return True
        self._seen_at = now
        return False

    @property
    def _lock(self) -> bytes:
        return locks.dot_lock_path(self._path)
