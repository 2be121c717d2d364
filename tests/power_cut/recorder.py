"""A disk that keeps every write and every flush, in order.

The disk is a loop device whose backing file is the one file of a FUSE file system that
is served here, straight on /dev/fuse. The loop driver passes a write on as FUSE_WRITE
and a flush as FUSE_FSYNC; FOPEN_DIRECT_IO keeps the page cache, which would gather and
reorder writes, out of the way. A write with forced unit access arrives as a write and a
flush, and there is no TRIM: loop devices have no other way.

No library: libfuse and its bindings are made for trees of files and callbacks, have to
be installed or compiled, and hide what is needed here, the moment between a request's
arrival and its answer. The protocol for one file is a handful of requests.

The clients of the delivery agent are served by the same loop, and before each block
request. So what the agent has acknowledged before a write is in the recording before
that write, however the processes are scheduled.

Raises: OSError when FUSE is missing or the mount is refused.
"""

from __future__ import annotations

import errno
import os
import pickle
import selectors
import signal
import socket
import stat
import struct
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from tests.power_cut.devices import end_with_parent, mount, own_mounts, unmount

_MOUNTED, _BEGIN, _FINISHED = b"M", b"B", b"F"
_TIMEOUT_SECONDS = 60.0


class RecorderError(Exception):
    """The recorder, or what it did for the test, has failed; a traceback tells."""


class _Op(IntEnum):
    """What the kernel asks for, with the numbers of linux/fuse.h."""

    FORGET = 2
    GETATTR = 3
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    INIT = 26
    INTERRUPT = 36
    BATCH_FORGET = 42


_WITHOUT_ANSWER = (_Op.FORGET, _Op.INTERRUPT, _Op.BATCH_FORGET)
_MAJOR, _MINOR = 7, 31
_BIG_WRITES, _MAX_PAGES = 1 << 5, 1 << 22
_FOPEN_DIRECT_IO = 1

_MAX_WRITE_BYTES = 1 << 20
_PAGE_BYTES = 4096
_INODE = 1  # the root is the file itself
_FOREVER_SECONDS = 1 << 30

_IN_HEADER = struct.Struct("=IIQQIIIHH")
_OUT_HEADER = struct.Struct("=IiQ")
_READ_IN = struct.Struct("=QQIIQII")  # FUSE_WRITE begins with the same fields
_INIT_OUT = struct.Struct("=IIIIHHIIHHI28x")
_OPEN_OUT = struct.Struct("=QII")
_ATTR_OUT = struct.Struct("=QII QQQQQQ IIIIIIIIII")
_STATFS_OUT = struct.Struct("=QQQQQIII28x")


@dataclass(frozen=True, slots=True)
class Write:
    """Blocks that were handed to the disk; on it for certain after the next flush."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Flush:
    """What was written before is on the disk."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Somebody was promised a delivery: mail `number` is in `recipient`'s mailbox."""

    number: int
    recipient: str


Event = Write | Flush | Acknowledged


class Witness(Protocol):
    """What goes on at the disk's side of the machine; sees acknowledgements at once."""

    def begin(self, disk: Disk) -> None:
        """Set out; `disk.finish` says that it is over."""

    def look(self, disk: Disk) -> None:
        """Called before each block request is taken: what has been acknowledged?"""


class Recorder:
    """The disk, served by a process of its own until `close`.

    image     the content, changed as the disk is
    path      where the backing file appears: an empty file, to be mounted upon
    witness   works in that process

    Nobody who waits for the disk can keep it from answering: it shares neither threads
    nor descriptors with anybody. When it ends, all that wait get an error.
    """

    def __init__(self, image: Path, path: Path, witness: Witness) -> None:
        self._path = path
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_TIMEOUT_SECONDS)
        fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        self._pid = os.fork()
        if self._pid == 0:
            try:
                end_with_parent()
                # Whoever leaves a mount namespace last unmounts what is left in it, and
                # this process cannot at the same time answer as the disk.
                own_mounts()
                self._control.close()
                Disk(image, fuse, witness, theirs).serve()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        theirs.close()
        options = f"fd={fuse},rootmode={stat.S_IFREG:o},user_id=0,group_id=0"
        try:
            mount("postvirt-recorder", path, "fuse", options)
        except BaseException:
            self.kill()
            raise
        finally:
            os.close(fuse)
        self._control.send(_MOUNTED)

    def run(self) -> None:
        """Let the witness begin, and wait until it has finished."""
        self._control.send(_BEGIN)
        if self._control.recv(1) != _FINISHED:
            raise RecorderError("the recorder has ended")

    def close(self) -> tuple[Event, ...]:
        """Take the disk away, which must not be in use any more; what it has seen."""
        try:
            unmount(self._path, lazily=True)
            self._control.shutdown(socket.SHUT_WR)
            with self._control.makefile("rb") as answer:
                failure, events = pickle.load(answer)
        finally:
            self.kill()
        if failure:
            raise RecorderError(failure)
        return tuple(events)

    def kill(self) -> None:
        """End it at once; who still uses the disk gets errors."""
        self._control.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


class Disk:
    """The process that serves the disk: one loop for block requests and clients."""

    def __init__(
        self, image: Path, fuse: int, witness: Witness, control: socket.socket
    ) -> None:
        self.events: list[Event] = []
        self._failure = ""
        self._witness = witness
        self._control = control
        self._image = os.open(image, os.O_RDWR | os.O_CLOEXEC)
        self._fuse = fuse
        self._buffer = memoryview(bytearray(_MAX_WRITE_BYTES + _PAGE_BYTES))
        self._is_finished = self._is_closing = False
        self._selector = selectors.DefaultSelector()
        self.watch(control, self._take_order)

    def watch(self, connection: socket.socket, readable: Callable[[], None]) -> None:
        """Call `readable` when there is something to read."""
        self._selector.register(connection, selectors.EVENT_READ, readable)

    def unwatch(self, connection: socket.socket) -> None:
        """No longer."""
        self._selector.unregister(connection)

    def finish(self) -> None:
        """All that the witness waited for has happened."""
        if not self._is_finished:
            self._is_finished = True
            self._control.send(_FINISHED)

    def serve(self) -> None:
        """Answer until the other side has had enough, then tell it everything."""
        while not self._is_closing:
            is_asked = False
            for key, _ in self._selector.select():
                if key.data is None:
                    is_asked = True
                else:
                    self._attempt(key.data)
            if is_asked:
                self._attempt(lambda: self._witness.look(self))
                self._answer_one()
        self._control.sendall(pickle.dumps((self._failure, self.events)))

    def _take_order(self) -> None:
        order = self._control.recv(1)
        if order == _MOUNTED:
            # Before, there was nothing that could wake the selector.
            self._selector.register(self._fuse, selectors.EVENT_READ, None)
        elif order == _BEGIN:
            self._witness.begin(self)
        else:
            self._is_closing = True

    def _attempt(self, work: Callable[[], None]) -> None:
        # The disk goes on whatever happens, or nobody who uses it could be ended.
        try:
            work()
        except Exception:
            if not self._failure:
                self._failure = traceback.format_exc()
                self.finish()

    def _answer_one(self) -> None:
        try:
            size = os.readv(self._fuse, [self._buffer])
        except OSError as error:
            # Nothing there after all; or unmounted, which `close` does.
            if error.errno == errno.ENODEV:
                self._selector.unregister(self._fuse)
            elif error.errno not in (errno.EAGAIN, errno.ENOENT, errno.EINTR):
                raise
            return
        _, kind, unique, *_ = _IN_HEADER.unpack_from(self._buffer)
        if kind in _WITHOUT_ANSWER:
            return
        number, answer = 0, b""
        try:
            answer = self._answer(kind, self._buffer[_IN_HEADER.size : size])
        except OSError as error:
            number = error.errno or errno.EIO
        head = _OUT_HEADER.pack(_OUT_HEADER.size + len(answer), -number, unique)
        try:
            os.writev(self._fuse, [head, answer])
        except OSError as error:
            # Nobody waits for this answer any more.
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise

    def _answer(self, kind: int, body: memoryview) -> bytes:
        match kind:
            case _Op.WRITE:
                return self._write(body)
            case _Op.READ:
                _, offset, size, *_ = _READ_IN.unpack_from(body)
                return os.pread(self._image, size, offset)
            case _Op.FSYNC:
                self.events.append(Flush())
                return b""
            case _Op.GETATTR:
                return self._attributes()
            case _Op.OPEN:
                return _OPEN_OUT.pack(0, _FOPEN_DIRECT_IO, 0)
            case _Op.STATFS:
                return _STATFS_OUT.pack(0, 0, 0, 0, 0, _PAGE_BYTES, 255, _PAGE_BYTES)
            case _Op.RELEASE:
                return b""
            case _Op.INIT:
                return self._init(body)
        raise OSError(errno.ENOSYS, "not needed by a loop device")

    def _init(self, body: memoryview) -> bytes:
        _, _, max_readahead, _ = struct.unpack_from("=IIII", body)
        # No FUSE_WRITEBACK_CACHE among the flags: it would hold writes back.
        flags, time_granularity = _BIG_WRITES | _MAX_PAGES, 1
        return _INIT_OUT.pack(
            *(_MAJOR, _MINOR, max_readahead, flags, 0, 0),
            *(
                _MAX_WRITE_BYTES,
                time_granularity,
                _MAX_WRITE_BYTES // _PAGE_BYTES,
                0,
                0,
            ),
        )

    def _write(self, body: memoryview) -> bytes:
        _, offset, size, *_ = _READ_IN.unpack_from(body)
        data = bytes(body[_READ_IN.size : _READ_IN.size + size])
        self.events.append(Write(offset, data))
        os.pwrite(self._image, data, offset)
        return struct.pack("=II", size, 0)

    def _attributes(self) -> bytes:
        size = os.fstat(self._image).st_size
        times = (0, 0, 0)
        mode, links, owner = stat.S_IFREG | 0o600, 1, (0, 0)
        return _ATTR_OUT.pack(
            *(_FOREVER_SECONDS, 0, 0, _INODE, size, size // 512),
            *(*times, *times, mode, links, *owner, 0, _PAGE_BYTES, 0),
        )
