"""Open the queue file that a request names, and lock it against the queue manager.

The shared lock keeps a queue manager that was just restarted from starting a second
delivery of the same message.

Parity: src/global/mail_open_ok.c, mail_queue.c and the end of deliver_request_get().
Differs: Queue files that cannot be opened. A queue file that cannot be opened or locked
    is a warning, and the request is answered with "try again", so other mail goes on;
    virtual(8) ends its process.
Differs: Symbolic links in the queue. A queue file behind a symbolic link is delivered
    without a warning, because the opened file is checked and not the link; virtual(8)
    delivers it and warns that the link is not a regular file.
"""

from __future__ import annotations

import os
import stat
import time
from typing import Final

from postvirt.model.request import DeliveryRequest
from postvirt.model.text import text
from postvirt.queuefile.path import queue_path
from postvirt.system import locks, log
from postvirt.system.descriptors import close

_MOST_QUEUE_NAME_BYTES: Final = 100
_MOST_QUEUE_ID_BYTES: Final = 255

_OPEN_FLAGS: Final = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC

# A queue file with a second name is normal for a moment while it is moved.
_LINK_GRACE_SECONDS: Final = 60


class QueueFile:
    """An open, locked queue file; path is relative to the queue directory."""

    __slots__ = ("fd", "path", "size_bytes")

    def __init__(self, fd: int, path: bytes, size_bytes: int) -> None:
        self.fd = fd
        self.path = path
        self.size_bytes = size_bytes

    def close(self) -> None:
        """Close the file, which also releases the lock."""
        close(self.fd)

    def cross_off(self, offset: int) -> bool:
        """Mark the recipient record at `offset` as done; whether that has succeeded.

        Parity: src/global/deliver_completed.c.
        """
        if offset == -1:
            return True
        if offset <= 0:
            log.warning(f"{text(self.path)}: bad recipient offset {offset}")
            return False
        try:
            os.pwrite(self.fd, b"D", offset)
        except OSError as error:
            log.warning(f"update queue file {text(self.path)}: {log.errno_text(error)}")
            return False
        return True

    def mark_corrupt(self) -> None:
        """Set mode 0400, so that the queue manager moves the file to corrupt/.

        Parity: src/global/mark_corrupt.c.
        """
        log.warning(f"corrupted queue file: {text(self.path)}")
        try:
            os.fchmod(self.fd, stat.S_IRUSR)
        except OSError as error:
            log.warning(f"fchmod {text(self.path)}: {log.errno_text(error)}")


def open_queue_file(
    request: DeliveryRequest, hashed_queues: tuple[bytes, ...], hash_depth: int
) -> QueueFile | None:
    """Open and lock the file; None, with the reason logged, when it cannot be used."""
    if not _is_queue_name(request.queue_name):
        log.warning(f"bad mail queue name: {text(request.queue_name)}")
        return None
    if not _is_queue_id(request.queue_id):
        log.warning(f"bad mail queue id: {text(request.queue_id)}")
        return None
    path = queue_path(request.queue_name, request.queue_id, hashed_queues, hash_depth)
    try:
        fd = os.open(path, _OPEN_FLAGS)
    except OSError as error:
        log.warning(
            f"open {text(request.queue_name)} {text(request.queue_id)}: "
            f"{log.errno_text(error)}"
        )
        return None
    size_bytes = _usable_size(fd, path, request)
    if size_bytes < 0:
        close(fd)
        return None
    return QueueFile(fd, path, size_bytes)


def _is_queue_name(name: bytes) -> bool:
    """Letters and digits of ASCII only."""
    return len(name) <= _MOST_QUEUE_NAME_BYTES and name.isalnum()


def _is_queue_id(name: bytes) -> bool:
    """Likewise, and underscores."""
    return len(name) <= _MOST_QUEUE_ID_BYTES and name.replace(b"_", b"0").isalnum()


def _usable_size(fd: int, path: bytes, request: DeliveryRequest) -> int:
    """The size of the opened file, now locked; -1 when it cannot be used."""
    try:
        status = os.fstat(fd)
    except OSError as error:
        log.warning(f"fstat {text(path)}: {log.errno_text(error)}")
        return -1
    if (
        _is_regular(status, path)
        and _locked(fd, path)
        and (
            0 <= request.data_offset <= status.st_size
            or _can_seek(fd, path, request.data_offset)
        )
    ):
        return status.st_size
    return -1


def _is_regular(status: os.stat_result, path: bytes) -> bool:
    if not stat.S_ISREG(status.st_mode):
        log.warning(f"{text(path)}: uid {status.st_uid}: not a regular file")
        return False
    if status.st_nlink > 1 and status.st_ctime < time.time() - _LINK_GRACE_SECONDS:
        log.warning(
            f"{text(path)}: uid {status.st_uid}: file has {status.st_nlink} links"
        )
    return True


def _locked(fd: int, path: bytes) -> bool:
    try:
        locks.try_shared_flock(fd)
    except OSError as error:
        log.warning(f"shared lock {text(path)}: {log.errno_text(error)}")
        return False
    return True


def _can_seek(fd: int, path: bytes, offset: int) -> bool:
    """Whether the offset in the request is one that a file can have."""
    try:
        os.lseek(fd, offset, os.SEEK_SET)
    except OSError as error:
        log.warning(f"seek message file {text(path)}: {log.errno_text(error)}")
        return False
    return True
