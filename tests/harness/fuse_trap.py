"""A mailbox owner who makes system calls in the mailbox hang for as long as they like.

The owner mounts a file system of their own (FUSE), maps its one file into memory, and
has the kernel copy the names in new/, or data for the mbox file, to or from that page.
The page never comes, and until it does the kernel keeps the directory or the file
locked: the next one that creates a name there, or writes, waits in state D, where no
signal ends it.

The file system is mounted in a namespace of its own, by root, because not every kernel
lets others do so. All that happens in the mailbox happens with the owner's rights.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.file_systems import leave_the_mounts_of_the_others

_GETDENTS64 = {"x86_64": 217, "aarch64": 61}
_HEADER = struct.Struct("<IIQQIIII")
_ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
_LOOKUP, _GETATTR, _OPEN, _READ, _STATFS, _FORGET, _INIT = 1, 3, 14, 15, 17, 2, 26
_PAGE = 4096
_ENOSYS = 38
_SECONDS = 20.0


@contextmanager
def trapped(place: Path, uid: int, gid: int) -> Iterator[Trap]:
    """Whatever creates a name in this directory, or writes to this file, hangs."""
    trap = Trap(place, uid, gid)
    try:
        yield trap
    finally:
        trap.release()


class Trap:
    """The processes of the owner; the trap is set when this is made."""

    def __init__(self, place: Path, uid: int, gid: int) -> None:
        reads, writes = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(reads)
                os.setpgid(0, 0)
                _serve(place, uid, gid, writes)
            except BaseException as error:
                os.write(writes, repr(error).encode())
            finally:
                os._exit(1)
        os.close(writes)
        try:
            assert select.select([reads], [], [], _SECONDS)[0], "the trap is not set"
            answer = os.read(reads, 1000)
        finally:
            os.close(reads)
        if answer != b"set":
            self.release()
            pytest.skip(f"no FUSE here: {answer.decode()}")

    def release(self) -> None:
        """Let everything that hangs there go on."""
        if self._pid:
            os.killpg(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0


def _serve(place: Path, uid: int, gid: int, tell: int) -> None:
    """Be the file system; the process that asks for the page is a child."""
    leave_the_mounts_of_the_others()
    device = os.open("/dev/fuse", os.O_RDWR)
    point = place.parent / f"{place.name}.trap"
    point.mkdir(exist_ok=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    made = libc.mount(b"trap", os.fsencode(point), b"fuse", 0, options.encode())
    assert made == 0, os.strerror(ctypes.get_errno())
    child = os.fork()
    if child == 0:
        os.close(device)
        _spring(place, point / "page", uid, gid)
    while True:
        request = os.read(device, 1 << 17)
        _, opcode, unique, node, *_ = _HEADER.unpack_from(request)
        if opcode == _READ:
            # The owner's process is in the kernel by now, and will stay there.
            os.write(tell, b"set")
            os.close(tell)
            signal.pause()
        if opcode != _FORGET:
            _answer(device, unique, _reply(opcode, node))


def _spring(place: Path, page: Path, uid: int, gid: int) -> None:
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    with open(page, "rb") as file:
        memory = mmap.mmap(file.fileno(), _PAGE, mmap.MAP_PRIVATE)
    address = ctypes.c_char.from_buffer(memory)
    libc = ctypes.CDLL(None, use_errno=True)
    if place.is_dir():
        directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        number = _GETDENTS64[os.uname().machine]
        libc.syscall(number, directory, ctypes.byref(address), _PAGE)
    else:
        libc.write(os.open(place, os.O_WRONLY), ctypes.byref(address), _PAGE)
    os._exit(0)


def _reply(opcode: int, node: int) -> bytes | None:
    """The answer; None for what is not there."""
    match opcode:
        case 26:
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 12, 9, _PAGE, 1, 1, 0, 0)
        case 1:
            return struct.pack("<QQQQII", 2, 0, 60, 60, 0, 0) + _attributes(2)
        case 3:
            return struct.pack("<QII", 60, 0, 0) + _attributes(node)
        case 14:
            return struct.pack("<QII", 0, 0, 0)
        case _:
            return None


def _attributes(node: int) -> bytes:
    mode = 0o40755 if node == 1 else 0o100666
    return _ATTRIBUTES.pack(
        *(node, _PAGE, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, _PAGE, 0)
    )


def _answer(device: int, unique: int, body: bytes | None) -> None:
    error, data = (-_ENOSYS, b"") if body is None else (0, body)
    os.write(device, struct.pack("<IiQ", 16 + len(data), error, unique) + data)
