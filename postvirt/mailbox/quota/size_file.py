"""maildirsize on the disk: read it, lock it, append to it, replace it.

Deliveries of postvirt exclude each other by flock(2) on the file itself, or on the
maildir's directory where there is no such file; the one that has the lock changes
postvirt's own line in its place. Other programs do not lock. They append their lines,
and replace the file when they have counted; the one that has been locked is no longer
the one that the name leads to then.

Source: Maildir++ (README.maildirquota of Courier).
Raises: OSError.
Security: all of it runs as the owner, who may have put anything there: what is not a
regular file with one name is not read but replaced. Nothing here waits.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import stat
import time
from contextlib import suppress
from typing import Final

from postvirt.codec.maildirsize import (
    FULL_BYTES,
    SETTLED,
    SizeFile,
    decode_size_file,
    encode_come,
    encode_gone,
)
from postvirt.model.quota import NOTHING, Use
from postvirt.system import locks
from postvirt.system.birth_time import birth_time
from postvirt.system.descriptors import close
from postvirt.system.fresh_status import fresh_status

NAME: Final = b"maildirsize"

_SAFE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OPEN: Final = os.O_RDWR | _SAFE
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MODE: Final = 0o600

# A file system without such locks says so, and NFS of a directory.
_NO_LOCKS: Final = (
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.EINVAL,
    errno.ENOLCK,
    errno.EBADF,
)

# How often another file may be in its place once it is locked.
_MOST_REPLACED: Final = 5

# Distinguishes the temporary files of this process.
_numbers = itertools.count(1)


class OpenSizeFile:
    """The maildirsize of a maildir; root ends with a slash.

    content     what it says; None if there is no such file, or it cannot be read
    size_bytes  how large it is, and mtime: when it was last changed, since 1970
    is_locked   no other delivery of postvirt can change it
    """

    def __init__(self, root: bytes) -> None:
        self.root: Final = root
        self._path: Final = root + NAME
        self._fd = self._directory = -1
        self._unusable: tuple[int, int] | None = None
        self._data: bytes | None = None
        self._come, self._come_offset = NOTHING, -1
        self.content: SizeFile | None = None
        self.size_bytes = 0
        self.mtime = 0.0
        self.is_locked = False

    @property
    def is_there(self) -> bool:
        """Whether there is such a file, and it is safe."""
        return self._fd >= 0

    def look(self) -> None:
        """Read what may change at any moment, and has not been checked."""
        self._open()
        if self._fd >= 0:
            with suppress(OSError):  # as of a FIFO
                self._decode()

    def read(self) -> None:
        """Open the file, if it is not open, and read it."""
        self._open()
        if self._fd >= 0:
            self._read(os.fstat(self._fd))

    def _open(self) -> None:
        if self._fd < 0:
            try:
                self._fd = _open(self._path)
            except OSError:
                pass  # it has to be replaced

    def _read(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            self._forget()
            return
        self.mtime = status.st_mtime
        self.size_bytes = status.st_size
        self._decode()

    def _decode(self) -> None:
        data = os.pread(self._fd, FULL_BYTES, 0)
        if data == self._data:
            return
        self._data = data
        self.content = found = decode_size_file(data)
        if found is not None:
            self._come, self._come_offset = found.come, found.come_offset

    def lock(self) -> None:
        """Lock the file, or the directory if there is no file; read it again.

        Raises: BlockingIOError when another process holds the lock, or replaces the
        file again and again.
        """
        for _ in range(_MOST_REPLACED):
            self._open()
            if self._fd >= 0 and self._lock_file():
                return
            self._unusable = self._identity()
            self.read()
            if self._fd < 0:
                self._directory = os.open(self.root, _DIRECTORY)
                self._lock(self._directory)
                return
        self.close()
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def _lock_file(self) -> bool:
        """Lock the open file and read it; False if it is another one by now, or unsafe.

        Raises: BlockingIOError.
        """
        self._lock(self._fd)
        status = fresh_status(self._fd)
        if self._is_named(status):
            self._read(status)
        else:
            self._forget()
        return self._fd >= 0

    def _lock(self, fd: int) -> None:
        try:
            locks.try_flock(fd)
        except BlockingIOError:
            self.close()
            raise
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                self.close()
                raise
        self.is_locked = True

    def is_still_there(self) -> bool:
        """Whether the name leads to the open file; or where it led, if that is none."""
        if self._fd >= 0:
            return self._is_named(os.fstat(self._fd))
        return self._identity() == self._unusable

    def _is_named(self, status: os.stat_result) -> bool:
        if not status.st_nlink:
            return False
        if os.major(status.st_dev):
            return True  # here it had no name any more if it had been replaced
        return self._identity() == (status.st_dev, status.st_ino)

    def _identity(self) -> tuple[int, int] | None:
        """To what the name leads, None if it is not there."""
        try:
            named = os.lstat(self._path)
        except FileNotFoundError:
            return None
        return named.st_dev, named.st_ino

    def is_older_than(self, when: float) -> bool:
        """Whether the open file was last changed before this time.

        Where other programs have appended since then, whether it was created before.
        """
        if self.mtime < when:
            return True
        if self.content is not None and self.content.is_own:
            return False
        born = birth_time(self._fd)
        return born is not None and born < when

    def has_grown(self) -> bool:
        """Whether somebody has appended to the open file since it was read."""
        return self._fd >= 0 and os.fstat(self._fd).st_size != self.size_bytes

    def come(self, more: Use) -> None:
        """Note that this comes; it has to be settled before the lock is given up."""
        self._write_come(self._come.plus(more), is_settled=False)

    def settle(self) -> None:
        """All that has been noted is there."""
        _check(os.pwrite(self._fd, SETTLED, self._come_offset + 1), SETTLED)

    def go(self, more: Use) -> None:
        """Note that this is gone again: by a line more while another has the lock."""
        if not self.is_locked:
            try:
                self.lock()
            except BlockingIOError:
                self.read()
        if self.content is None:
            return
        if self.is_locked:
            is_settled = self.content.is_settled
            self._write_come(self._come.minus(more), is_settled=is_settled)
        else:
            self._append(encode_gone(more))

    def _write_come(self, come: Use, *, is_settled: bool) -> None:
        """Write postvirt's line, in one piece, where it was before, or at the end."""
        line = encode_come(come, is_settled=is_settled)
        if self._come_offset >= 0:
            _check(os.pwrite(self._fd, line, self._come_offset), line)
        else:
            self._come_offset = self._append(line)
        self._come = come

    def _append(self, line: bytes) -> int:
        """Append a line, in one piece: where it begins."""
        fcntl.fcntl(self._fd, fcntl.F_SETFL, os.O_APPEND)
        try:
            _write(self._fd, line)
        finally:
            fcntl.fcntl(self._fd, fcntl.F_SETFL, 0)
        return os.lseek(self._fd, 0, os.SEEK_CUR) - len(line)

    def remove(self) -> None:
        """Remove the file, unless another one is in its place by now."""
        with suppress(OSError):
            if self.is_still_there():
                os.unlink(self._path)

    def replace(self, data: bytes, hostname: bytes) -> None:
        """Put another file in its place; the one that is open stays open.

        hostname is a part of the temporary name in tmp/.
        """
        name = (time.time_ns() // 1000, os.getpid(), next(_numbers), hostname)
        temporary = self.root + b"tmp/M%dP%dQ%d_maildirsize.%b" % name
        fd = os.open(temporary, _CREATE, _MODE)
        try:
            _write(fd, data)
            os.rename(temporary, self._path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            close(fd)

    def close(self) -> None:
        """Close the file, which gives up the lock."""
        self._forget()
        if self._directory >= 0:
            close(self._directory)
            self._directory = -1
        self.is_locked = False

    def _forget(self) -> None:
        if self._fd >= 0:
            close(self._fd)
            self._fd = -1
            self.is_locked = False
        self.content = self._data = None
        self._come, self._come_offset = NOTHING, -1


def _open(path: bytes) -> int:
    """Open the file, and leave its time of access as it is if that is allowed.

    Otherwise each delivery changes it, because the one before has changed the file.
    """
    try:
        return os.open(path, _OPEN | os.O_NOATIME)
    except PermissionError:  # it is somebody else's
        return os.open(path, _OPEN)


def _write(fd: int, data: bytes) -> None:
    """Write it in one piece."""
    _check(os.write(fd, data), data)


def _check(written: int, data: bytes) -> None:
    if written != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
