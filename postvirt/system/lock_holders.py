"""Who holds the kernel's locks of a file, without taking any.

Source: fcntl(2), F_OFD_GETLK; proc(5), /proc/locks and /proc/pid/fdinfo.
Raises: OSError from `fcntl_holder`. Where /proc does not tell (another process id
namespace, NFS), a lock of flock(2) is not seen.
"""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import dataclass

from postvirt.system.locks import FLOCK_STRUCTURE

_MOUNT_ID = re.compile(r"^mnt_id:\s*(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has the lock; pid is -1 when that is not known."""

    pid: int

    def __str__(self) -> str:
        """For a sentence: who."""
        if self.pid <= 0:
            return "a process that the kernel does not name"
        try:
            with open(f"/proc/{self.pid}/comm", "rb") as file:
                name = os.fsdecode(file.read()).strip()
        except OSError:
            return f"process {self.pid}"
        return f"process {self.pid} ({name})"


def fcntl_holder(fd: int) -> Holder | None:
    """Who has a record lock on any part of the file."""
    whole_file = FLOCK_STRUCTURE.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, whole_file)
    kind, _, _, _, pid = FLOCK_STRUCTURE.unpack(answer)
    return None if kind == fcntl.F_UNLCK else Holder(pid)


def flock_holder(fd: int) -> Holder | None:
    """Who has a lock of flock(2)."""
    inode = os.fstat(fd).st_ino
    devices = _devices(fd)
    for line in _lines("/proc/locks"):
        match line.split():
            case [_, "FLOCK", _, _, pid, file, *_]:
                major, minor, number = file.split(":")
                if int(number) == inode and (int(major, 16), int(minor, 16)) in devices:
                    return Holder(int(pid))
    return None


def _devices(fd: int) -> set[tuple[int, int]]:
    """The numbers of the file's device; those of its mount may be others (btrfs)."""
    device = os.fstat(fd).st_dev
    found = {(os.major(device), os.minor(device))}
    mount = _MOUNT_ID.search("\n".join(_lines(f"/proc/self/fdinfo/{fd}")))
    for line in _lines("/proc/self/mountinfo") if mount else ():
        words = line.split()
        if mount and words[0] == mount[1]:
            major, _, minor = words[2].partition(":")
            found.add((int(major), int(minor)))
    return found


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read()).splitlines()
    except OSError:
        return []
