"""The file that shows that a service runs, and which process it is.

The lock of the file decides: it ends with the process, however that ends, and no child
inherits it. A file without a lock is a leftover, and is used again.

Parity: master(8) locks $queue_directory/pid/master.pid.
Raises: AlreadyRunningError; OSError when the file cannot be created.
"""

from __future__ import annotations

import fcntl
import os


class AlreadyRunningError(Exception):
    """Another process holds the lock; the text is its process id, if known."""


class PidFile:
    """The locked file, until `close`."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with open(self.fd, encoding="ascii", errors="replace") as file:
                raise AlreadyRunningError(file.read(20).strip()) from None
        os.fchmod(self.fd, 0o644)
        os.ftruncate(self.fd, 0)
        os.write(self.fd, b"%d\n" % os.getpid())

    def close(self) -> None:
        """The service has ended; the file stays, as others may have it open."""
        os.ftruncate(self.fd, 0)
        os.close(self.fd)
