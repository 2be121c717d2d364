"""Commits that go on while this process does something else.

Linux commits a file in the background when it is asked for by io_submit(2) with
IOCB_CMD_FSYNC, and counts up an eventfd when one is done. No thread is needed, which
matters here: a process with several threads cannot change its identity safely.

Where the kernel has no such calls, or grants no more of them (fs.aio-max-nr), `submit`
takes nothing and the caller commits by itself.

Parity: none. Source: io_setup(2), io_submit(2), linux/aio_abi.h.
Raises: nothing.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

# io_setup, io_getevents, io_submit; their numbers differ between machines.
_CALLS = {"x86_64": (206, 208, 209), "aarch64": (0, 4, 2)}

_FSYNC = 2
_NOTIFY_EVENTFD = 1

# struct iocb: data, key, rw_flags, opcode, priority, fd, buffer, bytes, offset,
# reserved, flags, eventfd. struct io_event: data, iocb, result, result2.
_IOCB = struct.Struct("=QIiHhIQQqQII")
_EVENT = struct.Struct("=QQqq")

# How many may be under way at once.
_MOST = 256

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


class AsyncCommits:
    """Commits under way.

    `fileno` is readable when one of them is done; it is -1 if there can be none. Made
    in the process that uses it: it does not survive a fork.
    """

    def __init__(self) -> None:
        self._eventfd = -1
        self._free = list(range(_MOST))
        calls = _CALLS.get(platform.machine())
        if calls is None or sys.byteorder != "little":
            return
        self._setup, self._getevents, self._submit = calls
        self._context = ctypes.c_ulong(0)
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # The kernel is given addresses, so the memory stays where it is.
        self._iocbs = ctypes.create_string_buffer(_MOST * _IOCB.size)
        self._pointer = ctypes.c_uint64(0)
        self._events = ctypes.create_string_buffer(_MOST * _EVENT.size)
        self._names = [0] * _MOST

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._eventfd

    def submit(self, fd: int, name: int) -> bool:
        """Begin to commit a file, or the names in a directory; False if that fails.

        name is what `done` will call it.
        """
        if self._eventfd < 0 or not self._free or not self._is_set_up():
            return False
        slot = self._free[-1]
        offset = slot * _IOCB.size
        _IOCB.pack_into(
            *(self._iocbs, offset, slot, 0, 0, _FSYNC, 0, fd, 0, 0, 0, 0),
            *(_NOTIFY_EVENTFD, self._eventfd),
        )
        self._pointer.value = ctypes.addressof(self._iocbs) + offset
        if _syscall(self._submit, self._context, 1, ctypes.byref(self._pointer)) != 1:
            return False
        self._free.pop()
        self._names[slot] = name
        return True

    def _is_set_up(self) -> bool:
        """Whether the kernel is ready; only now, for its part takes long to go away.

        A process that ends waits for it, some hundredths of a second.
        """
        if not self._context.value:
            context = ctypes.byref(self._context)
            if _syscall(self._setup, _MOST, context) != 0:
                self._free.clear()  # nor will it be later
        return bool(self._context.value)

    def done(self) -> list[tuple[int, int]]:
        """Those that came to an end: their names, and 0 or an errno."""
        try:
            os.eventfd_read(self._eventfd)
        except BlockingIOError:
            return []
        count = _syscall(self._getevents, self._context, 0, _MOST, self._events, None)
        ended = []
        for number in range(count):
            event = _EVENT.unpack_from(self._events, number * _EVENT.size)
            slot, _, result, _ = event
            self._free.append(slot)
            ended.append((self._names[slot], -result))
        return ended
