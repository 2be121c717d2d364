"""How much of its disk quota a user has used, according to the kernel.

Other quotas (of btrfs subvolumes, of an NFS server, of an IMAP server) are not seen.

Source: quotactl(2) and quotactl_fd of Linux 5.14; struct if_dqblk of linux/quota.h.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

from postvirt.system import capabilities, file_identity

# The same number on every machine.
_QUOTACTL_FD = 443
_GET_QUOTA = 0x80_0007
_KINDS = (("user", 0), ("group", 1))

# Two limits and the use of blocks, the same of inodes, the ends of two grace times.
_DQBLK = struct.Struct("=8QI4x")
_BLOCK_BYTES = 1024  # the unit of the limits

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc["syscall"]
_syscall.restype = ctypes.c_long
_syscall.argtypes = (
    ctypes.c_long,
    ctypes.c_int,
    ctypes.c_uint,
    ctypes.c_uint32,
    ctypes.c_char_p,
)


class Use(NamedTuple):
    """How many bytes or inodes are used; a limit of 0 is none.

    soft_until   when the soft limit becomes a hard one, in seconds since 1970; 0 if it
                 is not exceeded
    """

    used: int
    soft: int
    hard: int
    soft_until: int

    def has_room(self, more: int, now: float) -> bool:
        """Whether `more` would still be allowed."""
        after = self.used + more
        if self.hard and after > self.hard:
            return False
        has_ended = bool(self.soft_until) and now > self.soft_until
        return not (self.soft and after > self.soft and has_ended)


class Quota(NamedTuple):
    """The quota of a user or of a group on one file system."""

    kind: str
    size: Use
    inodes: Use


def quotas(place: bytes) -> Iterator[Quota]:
    """The quotas of the user and group that this thread works on files as."""
    try:
        fd = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for kind, number in _KINDS:
            identity = file_identity.uid() if kind == "user" else file_identity.gid()
            # The kernel answers the effective user, who may be another one, and root.
            with capabilities.with_also(capabilities.SYS_ADMIN):
                found = _ask(fd, number, identity)
            if found is not None:
                yield decoded(kind, found)
    finally:
        os.close(fd)


def has_no_room(place: bytes, *, size_bytes: int = 0, inodes: int = 0) -> bool:
    """Whether a quota forbids this many more bytes or inodes."""
    now = time.time()
    return any(
        (size_bytes and not quota.size.has_room(size_bytes, now))
        or (inodes and not quota.inodes.has_room(inodes, now))
        for quota in quotas(place)
    )


def decoded(kind: str, answer: bytes) -> Quota:
    """The kernel's answer."""
    hard, soft, used, ihard, isoft, iused, until, iuntil, _ = _DQBLK.unpack(answer)
    size = Use(used, soft * _BLOCK_BYTES, hard * _BLOCK_BYTES, until)
    return Quota(kind, size, Use(iused, isoft, ihard, iuntil))


def _ask(fd: int, kind: int, identity: int) -> bytes | None:
    answer = ctypes.create_string_buffer(_DQBLK.size)
    if _syscall(_QUOTACTL_FD, fd, _GET_QUOTA << 8 | kind, identity, answer) != 0:
        return None
    return answer.raw
