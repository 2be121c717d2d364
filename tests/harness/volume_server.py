"""The server of a volume of a network file system, which fails when it is told to.

It keeps its files in another directory. For valid_seconds, the kernel believes what it
has heard of a file, and so does the server, which is the client of those that keep it:
like that of GlusterFS, it asks again when it writes or commits a file. As some servers
do, this one gives up an fcntl lock only when its owner unlocks or flushes the file, and
the owner of a lock of the open file never flushes. When it has failed, and is well
again, all locks are gone.

Source: fuse(4), linux/fuse.h.
Raises: OSError.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import stat
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from tests.harness.volume_trouble import Asked, Trouble

_IN_HEADER = struct.Struct("=IIQQIIII")
_OUT_HEADER = struct.Struct("=IiQ")
_INIT_OUT = struct.Struct("=IIIIHHIIHHI28x")
_ATTRIBUTES = struct.Struct("=QQQQQQIIIIIIIIII")
_SETATTR_IN = struct.Struct("=IIQQQQQQIIIIIIII")
_LOCK_IN = struct.Struct("=QQQQIIII")
_STATFS_OUT = struct.Struct("=QQQQQIIII24x")
_VERSION = 7, 31
_POSIX_LOCKS, _BIG_WRITES, _FLOCK_LOCKS = 1 << 1, 1 << 5, 1 << 10
_MOST_WRITE_BYTES = 128 << 10
_ROOT = 1
_RENAME_NOREPLACE = 1

# After these, it asks what has become of files.
_FRESH = ("SETATTR", "UNLINK", "RENAME", "RENAME2", "LINK", "WRITE", "FSYNC", "CREATE")

# What cannot fail, and is of no interest.
_WITHOUT_ANSWER = {2: "FORGET", 36: "INTERRUPT", 42: "BATCH_FORGET"}
_NOT_COUNTED = {18: "RELEASE", 26: "INIT", 29: "RELEASEDIR", 38: "DESTROY"}


class Server:
    """Serves requests; a node is a descriptor of O_PATH, whatever its name is by now.

    A file's handle is another descriptor. Locks are by file: the owner of each.
    believes is whether it answers GETATTR without asking, for valid_seconds.
    """

    def __init__(
        self,
        fuse: int,
        control: Connection,
        files: Path,
        valid_seconds: int,
        *,
        believes: bool,
    ) -> None:
        self._fuse = fuse
        self._control = control
        self._valid_seconds = valid_seconds
        self._believes = believes
        root = os.open(files, os.O_PATH | os.O_DIRECTORY)
        self._nodes = {_ROOT: root}
        self._numbers: dict[tuple[int, int], int] = {}
        self._locks: dict[tuple[int, bool], int] = {}
        self._lists: dict[int, list[tuple[str, int, int]]] = {}
        self._believed: dict[int, tuple[float, bytes]] = {}
        self._trouble: Trouble | None = None
        self._asked: list[Asked] = []
        self._answers: dict[int, tuple[str, Callable[[_Asking], bytes]]] = {
            **{number: (name, _nothing) for number, name in _NOT_COUNTED.items()},
            1: ("LOOKUP", self._lookup),
            3: ("GETATTR", self._getattr),
            4: ("SETATTR", self._setattr),
            5: ("READLINK", self._readlink),
            9: ("MKDIR", self._mkdir),
            10: ("UNLINK", self._unlink),
            11: ("RMDIR", self._rmdir),
            12: ("RENAME", self._rename),
            13: ("LINK", self._link),
            14: ("OPEN", self._open),
            15: ("READ", self._read),
            16: ("WRITE", self._write),
            17: ("STATFS", self._statfs),
            18: ("RELEASE", self._release),
            20: ("FSYNC", self._fsync),
            21: ("SETXATTR", self._setxattr),
            22: ("GETXATTR", self._getxattr),
            24: ("REMOVEXATTR", self._removexattr),
            25: ("FLUSH", self._flush),
            26: ("INIT", self._init),
            27: ("OPENDIR", self._opendir),
            28: ("READDIR", self._readdir),
            29: ("RELEASEDIR", self._releasedir),
            30: ("FSYNCDIR", self._fsync),
            32: ("SETLK", self._setlk),
            35: ("CREATE", self._create),
            45: ("RENAME2", self._rename2),
        }

    def serve(self) -> None:
        """Until the volume is unmounted, or the trouble is that the server ends."""
        while True:
            ready, _, _ = select.select([self._fuse, self._control.fileno()], [], [])
            if self._control.fileno() in ready:
                self._trouble = self._control.recv()
                self._control.send(self._asked)
                self._asked = []
                self._locks.clear()
            elif not self._serve_one():
                return

    def _serve_one(self) -> bool:
        try:
            request = os.read(self._fuse, _MOST_WRITE_BYTES + 4096)
        except OSError as error:
            return error.errno in (errno.EPERM, errno.ENOENT, errno.EINTR)
        _, kind, unique, node, uid, gid, _, _ = _IN_HEADER.unpack_from(request)
        if kind in _WITHOUT_ANSWER:
            return True
        asking = _Asking(node, request[_IN_HEADER.size :], uid, gid)
        number, answer = 0, b""
        try:
            answer = self._answer(kind, asking)
        except OSError as error:
            number = error.errno or errno.EIO
        if number < 0:
            return False
        head = _OUT_HEADER.pack(_OUT_HEADER.size + len(answer), -number, unique)
        with suppress(FileNotFoundError):  # it was interrupted
            os.write(self._fuse, head + answer)
        return True

    def _answer(self, kind: int, asking: _Asking) -> bytes:
        if kind not in self._answers:
            raise _error(errno.ENOSYS)
        name, act = self._answers[kind]
        if kind in _NOT_COUNTED:
            return act(asking)
        if name in _FRESH:
            self._believed.clear()
        self._asked.append((name, self._path(asking)))
        trouble = self._trouble
        if trouble is None or trouble.of not in ("", name):
            return act(asking)
        number = sum(trouble.of in ("", one) for one, _ in self._asked)
        if number < trouble.number:
            return act(asking)
        if number > trouble.number:
            if trouble.lasts:
                raise _error(trouble.error)
            return act(asking)
        if trouble.is_done:
            with suppress(OSError):
                act(asking)
        raise _error(trouble.error or -1)

    def _path(self, asking: _Asking) -> str:
        root = os.readlink(f"/proc/self/fd/{self._nodes[_ROOT]}")
        path = os.readlink(f"/proc/self/fd/{self._nodes[asking.node]}")
        return os.path.relpath(path, root)

    def _place(self, node: int) -> str:
        return f"/proc/self/fd/{self._nodes[node]}"

    def _attributes(self, fd: int) -> bytes:
        status, now = os.fstat(fd), time.monotonic()
        until, believed = self._believed.get(status.st_ino, (0.0, b""))
        if now >= until:
            believed = _packed(status)
            self._believed[status.st_ino] = now + self._valid_seconds, believed
        return believed

    def _entry(self, node: int, name: bytes) -> bytes:
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, dir_fd=self._nodes[node])
        status = os.fstat(fd)
        key = status.st_dev, status.st_ino
        number = self._numbers.setdefault(key, len(self._numbers) + 2)
        if number in self._nodes:
            os.close(fd)
        else:
            self._nodes[number] = fd
        times = self._valid_seconds, self._valid_seconds, 0, 0
        return struct.pack("=QQQQII", number, 0, *times) + self._attributes(
            self._nodes[number]
        )

    def _new_entry(self, asking: _Asking, name: bytes) -> bytes:
        os.chown(
            name,
            asking.uid,
            asking.gid,
            dir_fd=self._nodes[asking.node],
            follow_symlinks=False,
        )
        return self._entry(asking.node, name)

    def _init(self, asking: _Asking) -> bytes:
        flags = _POSIX_LOCKS | _BIG_WRITES | _FLOCK_LOCKS
        return _INIT_OUT.pack(*_VERSION, 0, flags, 0, 0, _MOST_WRITE_BYTES, 1, 1, 0, 0)

    def _lookup(self, asking: _Asking) -> bytes:
        return self._entry(asking.node, asking.name())

    def _getattr(self, asking: _Asking) -> bytes:
        if not self._believes:
            self._believed.clear()
        return struct.pack("=QII", self._valid_seconds, 0, 0) + self._attributes(
            self._nodes[asking.node]
        )

    def _setattr(self, asking: _Asking) -> bytes:
        (valid, _, _, size, _, atime, mtime, _, atime_ns, mtime_ns, _, mode, *rest) = (
            _SETATTR_IN.unpack_from(asking.body)
        )
        place = self._place(asking.node)
        if not valid & 64 and not os.fstat(self._nodes[asking.node]).st_nlink:
            raise _error(errno.ESTALE)
        if valid & 1:
            os.chmod(place, stat.S_IMODE(mode))
        if valid & 6:
            uid, gid = rest[1:3]
            os.chown(place, uid if valid & 2 else -1, gid if valid & 4 else -1)
        if valid & 8:
            os.truncate(place, size)
        if valid & 48 == 48 and not valid & 384:
            times = (atime * 10**9 + atime_ns, mtime * 10**9 + mtime_ns)
            os.utime(place, ns=times)
        return self._getattr(asking)

    def _readlink(self, asking: _Asking) -> bytes:
        return os.fsencode(os.readlink("", dir_fd=self._nodes[asking.node]))

    def _mkdir(self, asking: _Asking) -> bytes:
        (mode,) = struct.unpack_from("=I", asking.body)
        os.mkdir(asking.name(8), mode, dir_fd=self._nodes[asking.node])
        return self._new_entry(asking, asking.name(8))

    def _create(self, asking: _Asking) -> bytes:
        flags, mode = struct.unpack_from("=II", asking.body)
        name = asking.name(16)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags & os.O_EXCL
        fd = os.open(name, flags, stat.S_IMODE(mode), dir_fd=self._nodes[asking.node])
        return self._new_entry(asking, name) + struct.pack("=QII", fd, 0, 0)

    def _unlink(self, asking: _Asking) -> bytes:
        os.unlink(asking.name(), dir_fd=self._nodes[asking.node])
        return b""

    def _rmdir(self, asking: _Asking) -> bytes:
        os.rmdir(asking.name(), dir_fd=self._nodes[asking.node])
        return b""

    def _rename(self, asking: _Asking) -> bytes:
        return self._move(asking, 8, 0)

    def _rename2(self, asking: _Asking) -> bytes:
        (flags,) = struct.unpack_from("=I", asking.body, 8)
        return self._move(asking, 16, flags)

    def _move(self, asking: _Asking, start: int, flags: int) -> bytes:
        (directory,) = struct.unpack_from("=Q", asking.body)
        old, new = asking.body[start:].split(b"\0")[:2]
        ends = self._nodes[asking.node], self._nodes[directory]
        if ctypes.CDLL(None, use_errno=True).renameat2(
            ends[0], old, ends[1], new, flags & _RENAME_NOREPLACE
        ):
            raise _error(ctypes.get_errno())
        return b""

    def _link(self, asking: _Asking) -> bytes:
        (node,) = struct.unpack_from("=Q", asking.body)
        name, directory = asking.name(8), self._nodes[asking.node]
        os.link(self._place(node), os.fsdecode(name), dst_dir_fd=directory)
        return self._entry(asking.node, name)

    def _open(self, asking: _Asking) -> bytes:
        fd = os.open(self._place(asking.node), os.O_RDWR | os.O_CLOEXEC)
        return struct.pack("=QII", fd, 0, 0)

    def _read(self, asking: _Asking) -> bytes:
        fd, offset, size = struct.unpack_from("=QQI", asking.body)
        return os.pread(fd, size, offset)

    def _write(self, asking: _Asking) -> bytes:
        fd, offset, size = struct.unpack_from("=QQI", asking.body)
        done = os.pwrite(fd, asking.body[40 : 40 + size], offset)
        return struct.pack("=II", done, 0)

    def _statfs(self, asking: _Asking) -> bytes:
        return _STATFS_OUT.pack(1 << 20, 1 << 20, 1 << 20, 999, 999, 4096, 255, 4096, 0)

    def _release(self, asking: _Asking) -> bytes:
        fd, _, flags, owner = struct.unpack_from("=QIIQ", asking.body)
        if flags & 2:  # flock(2) is given up with the open file
            self._unlock(os.fstat(fd).st_ino, owner, is_flock=True)
        os.close(fd)
        return b""

    def _flush(self, asking: _Asking) -> bytes:
        fd, _, _, owner = struct.unpack_from("=QIIQ", asking.body)
        self._unlock(os.fstat(fd).st_ino, owner, is_flock=False)
        return b""

    def _fsync(self, asking: _Asking) -> bytes:
        return b""

    def _setxattr(self, asking: _Asking) -> bytes:
        (size,) = struct.unpack_from("=I", asking.body)
        name, _, value = asking.body[8:].partition(b"\0")
        os.setxattr(self._place(asking.node), name, value[:size])
        return b""

    def _getxattr(self, asking: _Asking) -> bytes:
        (size,) = struct.unpack_from("=I", asking.body)
        value = os.getxattr(self._place(asking.node), asking.name(8))
        if not size:
            return struct.pack("=II", len(value), 0)
        if size < len(value):
            raise _error(errno.ERANGE)
        return value

    def _removexattr(self, asking: _Asking) -> bytes:
        os.removexattr(self._place(asking.node), asking.name())
        return b""

    def _opendir(self, asking: _Asking) -> bytes:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        fd = os.open(self._place(asking.node), flags)
        here = asking.node, stat.S_IFDIR >> 12
        self._lists[fd] = [(".", *here), ("..", *here)]
        with os.scandir(self._place(asking.node)) as entries:
            for entry in entries:
                mode = entry.stat(follow_symlinks=False).st_mode
                self._lists[fd].append((entry.name, entry.inode(), mode >> 12))
        return struct.pack("=QII", fd, 0, 0)

    def _readdir(self, asking: _Asking) -> bytes:
        fd, offset, size = struct.unpack_from("=QQI", asking.body)
        answer = b""
        for number, (name, inode, kind) in enumerate(self._lists[fd][offset:], offset):
            data = os.fsencode(name)
            entry = struct.pack("=QQII", inode, number + 1, len(data), kind) + data
            entry += b"\0" * (-len(entry) % 8)
            if len(answer) + len(entry) > size:
                break
            answer += entry
        return answer

    def _releasedir(self, asking: _Asking) -> bytes:
        (fd,) = struct.unpack_from("=Q", asking.body)
        del self._lists[fd]
        os.close(fd)
        return b""

    def _setlk(self, asking: _Asking) -> bytes:
        fd, owner, _, _, kind, _, flags, _ = _LOCK_IN.unpack_from(asking.body)
        inode, is_flock = os.fstat(fd).st_ino, bool(flags & 1)
        if kind == 2:  # F_UNLCK
            self._unlock(inode, owner, is_flock=is_flock)
        elif self._locks.setdefault((inode, is_flock), owner) != owner:
            raise _error(errno.EAGAIN)
        return b""

    def _unlock(self, inode: int, owner: int, *, is_flock: bool) -> None:
        if self._locks.get((inode, is_flock)) == owner:
            del self._locks[inode, is_flock]


class _Asking(NamedTuple):
    """A request, and who makes it."""

    node: int
    body: bytes
    uid: int
    gid: int

    def name(self, start: int = 0) -> bytes:
        return self.body[start:].partition(b"\0")[0]


def _packed(status: os.stat_result) -> bytes:
    times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
    return _ATTRIBUTES.pack(
        *(status.st_ino, status.st_size, status.st_blocks),
        *(one // 1_000_000_000 for one in times),
        *(one % 1_000_000_000 for one in times),
        *(status.st_mode, status.st_nlink, status.st_uid, status.st_gid),
        *(0, 4096, 0),
    )


def _nothing(asking: _Asking) -> bytes:
    return b""


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(abs(number)))
