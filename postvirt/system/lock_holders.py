"""Which process holds the kernel's locks of a file; takes no lock.

Source: fcntl(2), F_OFD_GETLK; proc(5), /proc/locks and /proc/pid/fdinfo.
Raises: OSError from `fcntl_holder`. A lock of flock(2) is not seen where /proc does not
list it (another process id namespace, NFS).
"""

from __future__ import annotations

import fcntl
import os
import re
from typing import NamedTuple

from postvirt.system import mounts
from postvirt.system.locks import FLOCK_STRUCTURE

_MOUNT_ID = re.compile(rb"^mnt_id:\s*(\d+)$", re.MULTILINE)


class Holder(NamedTuple):
    """A process that holds the lock; pid is -1 if it is unknown."""

    pid: int

    def __str__(self) -> str:
        """The process, for use in a sentence."""
        if self.pid <= 0:
            return "an unknown process"
        try:
            with open(f"/proc/{self.pid}/comm", "rb") as file:
                name = os.fsdecode(file.read()).strip()
        except OSError:
            return f"process {self.pid}"
        return f"process {self.pid} ({name})"


def fcntl_holder(fd: int) -> Holder | None:
    """The holder of a record lock on any part of the file."""
    whole_file = FLOCK_STRUCTURE.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, whole_file)
    kind, _, _, _, pid = FLOCK_STRUCTURE.unpack(answer)
    return None if kind == fcntl.F_UNLCK else Holder(pid)


def flock_holder(fd: int) -> Holder | None:
    """The holder of a flock(2) lock."""
    inode = os.fstat(fd).st_ino
    devices = _devices(fd)
    for line in os.fsdecode(_content("/proc/locks")).splitlines():
        match line.split():
            case [_, "FLOCK", _, _, pid, file, *_]:
                major, minor, number = file.split(":")
                device = os.makedev(int(major, 16), int(minor, 16))
                if int(number) == inode and device in devices:
                    return Holder(int(pid))
    return None


def _devices(fd: int) -> set[int]:
    """The file's st_dev, and that of its mount, which may be another one (btrfs)."""
    device = os.fstat(fd).st_dev
    found = {device}
    mount_id = _MOUNT_ID.search(_content(f"/proc/self/fdinfo/{fd}"))
    if mount_id:
        for mount in mounts.parse(_content(mounts.MOUNTINFO)):
            if mount.id == int(mount_id[1]):
                found.add(mount.device)
    return found


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
