"""Copy descriptors of another process, which may not be able to use them any more.

Source: pidfd_getfd(2), Linux 5.6. It is allowed to a process that may trace the other
one: root with CAP_SYS_PTRACE.

Raises: OSError.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket

_PIDFD_GETFD = 438  # on every machine

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


def sockets_of(pid: int) -> list[socket.socket]:
    """Copies of all sockets of a process.

    Raises: OSError when the process has ended, or its descriptors cannot be copied.
    """
    directory = f"/proc/{pid}/fd"
    pidfd = os.pidfd_open(pid)
    try:
        copies = [
            _copy(pidfd, int(name))
            for name in os.listdir(directory)
            if _is_socket(f"{directory}/{name}")
        ]
    finally:
        os.close(pidfd)
    return [socket.socket(fileno=copy) for copy in copies if copy is not None]


def _is_socket(path: str) -> bool:
    try:
        return os.readlink(path).startswith("socket:")
    except FileNotFoundError:
        return False  # it was closed meanwhile


def _copy(pidfd: int, fd: int) -> int | None:
    copy = int(_syscall(_PIDFD_GETFD, pidfd, fd, 0))
    if copy >= 0:
        return copy
    number = ctypes.get_errno()
    if number == errno.EBADF:
        return None  # it was closed meanwhile
    raise OSError(number, os.strerror(number))
