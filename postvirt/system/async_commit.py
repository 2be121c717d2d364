"""Commits in the background.

io_submit(2) with IOCB_CMD_FSYNC makes Linux commit a file in the background, and
increment an eventfd when it is done. This needs no thread, which matters because a
process with several threads cannot change its identity safely.

Where the kernel has no such calls, or its limit (fs.aio-max-nr) is reached, `submit`
returns False and the caller commits the file itself.

Parity: none. Source: io_setup(2), io_submit(2), linux/aio_abi.h.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from contextlib import suppress

# io_setup, io_getevents, io_submit; their numbers differ between machines.
_CALLS = {"x86_64": (206, 208, 209), "aarch64": (0, 4, 2)}
_NUMBERS = _CALLS.get(os.uname().machine) if sys.byteorder == "little" else None

_FSYNC = 2
_NOTIFY_EVENTFD = 1

# struct iocb: data, opcode, fd, flags, eventfd; a commit leaves the other fields zero.
_IOCB = struct.Struct("=Q8xH2xI32xII")
# struct io_event: data, iocb, result, result2.
_EVENT = struct.Struct("=QQqq")

# The most commits that may be in progress at once.
_MOST = 256
# Made once for all workers: types of ctypes are dear.
_Iocbs = ctypes.c_char * (_MOST * _IOCB.size)
_Events = ctypes.c_char * (_MOST * _EVENT.size)

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


class AsyncCommits:
    """Commits in progress.

    `fileno` is readable when one of them is done; it is -1 if the kernel has none. It
    must be created in the process that uses it, because it does not survive a fork.
    """

    def __init__(self) -> None:
        self._eventfd = -1
        self._was_refused = False
        self._free: list[int] = []
        self._context = ctypes.c_ulong(0)
        if _NUMBERS is not None:
            self._setup, self._getevents, self._submit = _NUMBERS
            self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._eventfd

    def submit(self, fd: int, name: int) -> bool:
        """Start to commit a file, or the names in a directory; False if that fails.

        name is how `done` will refer to it.
        """
        if self._eventfd < 0 or not self._is_set_up() or not self._free:
            return False
        slot = self._free[-1]
        offset = slot * _IOCB.size
        iocb = (slot, _FSYNC, fd, _NOTIFY_EVENTFD, self._eventfd)
        _IOCB.pack_into(self._iocbs, offset, *iocb)
        self._pointer.value = ctypes.addressof(self._iocbs) + offset
        if _syscall(self._submit, self._context, 1, ctypes.byref(self._pointer)) != 1:
            return False
        self._free.pop()
        self._names[slot] = name
        return True

    def _is_set_up(self) -> bool:
        """Set it up in the kernel at the first commit; whether that has succeeded.

        Not before, because most workers of a quiet server never need it, and because a
        process that exits waits some hundredths of a second until the kernel has
        removed it.
        """
        if self._context.value or self._was_refused:
            return not self._was_refused
        context = ctypes.byref(self._context)
        self._was_refused = _syscall(self._setup, _MOST, context) != 0
        if self._was_refused:
            return False  # a later attempt would fail, too
        # The kernel keeps addresses, so the memory must stay where it is.
        self._iocbs = _Iocbs()
        self._pointer = ctypes.c_uint64(0)
        self._events = _Events()
        self._names = [0] * _MOST
        self._free = list(range(_MOST))
        return True

    def done(self) -> list[tuple[int, int]]:
        """The commits that have ended since: their names, and 0 or an errno."""
        with suppress(OSError):
            os.eventfd_read(self._eventfd)
        if not self._context.value:
            return []
        count = _syscall(self._getevents, self._context, 0, _MOST, self._events, None)
        if count < 0:
            with suppress(OSError):
                os.eventfd_write(self._eventfd, 1)  # ask again at the next turn
        ended = []
        for number in range(count):
            event = _EVENT.unpack_from(self._events, number * _EVENT.size)
            slot, _, result, _ = event
            self._free.append(slot)
            ended.append((self._names[slot], -result))
        return ended
