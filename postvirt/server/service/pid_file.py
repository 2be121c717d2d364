"""The files that show that a service runs, and which process it is.

The lock of NAME.lock decides: it ends with the process, however that ends, and no child
inherits it. Files without a lock are leftovers, and are used again.

NAME.pid contains the process id, for users to read. It is locked as well, for reading,
because older versions lock only this file, for writing.

Parity: master(8) locks $queue_directory/pid/master.pid.
Raises: AlreadyRunningError; OSError when a file cannot be created.
Security: a user who can open a file for reading can lock it for reading, and so keep
    others from locking it for writing. Only the user that starts the service can open
    NAME.lock; locks for reading of NAME.pid do not exclude each other.
"""

from __future__ import annotations

import fcntl
import os

_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


class AlreadyRunningError(Exception):
    """Another process holds the lock; the text is its process id, if known."""


class PidFile:
    """The locked files, until `close`.

    path    without the suffix
    fds     the descriptors that hold the locks
    """

    def __init__(self, path: str) -> None:
        lock = os.open(f"{path}.lock", _OPEN, 0o600)
        self._pid = os.open(f"{path}.pid", _OPEN, 0o644)
        self.fds = (lock, self._pid)
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.lockf(self._pid, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._pid, 20, 0).decode("ascii", "replace").strip()
            self._close()
            raise AlreadyRunningError(holder) from None
        os.fchmod(self._pid, 0o644)
        os.ftruncate(self._pid, 0)
        os.write(self._pid, b"%d\n" % os.getpid())

    def close(self) -> None:
        """The service has ended; the files stay, as others may have them open."""
        os.ftruncate(self._pid, 0)
        self._close()

    def _close(self) -> None:
        for fd in self.fds:
            os.close(fd)
