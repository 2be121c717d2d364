"""What is known about the file system that a file lies on.

On ext4 and xfs one log takes all changes of names and inodes, in the order in which
they were made. So a commit of one file also commits every name that was made before,
whatever directory it is in: `orders_names` says so. On other file systems, and where
the kernel does not tell, every directory needs a commit of its own.

An ext4 without a journal has no such order, and one whose journal lies on another
device keeps names and data in two caches; both count as others.

Raises: nothing.
"""

from __future__ import annotations

import os

_MOUNTS = "/proc/self/mountinfo"


class FileSystems:
    """Answers for devices, and remembers them until something is mounted.

    `fileno` is a descriptor that poll(2) reports (POLLPRI) when a mount changes; call
    `forget` then. It is -1 where there is no /proc.
    """

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}
        try:
            self._mounts = os.open(_MOUNTS, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._mounts = -1

    def fileno(self) -> int:
        """The descriptor to watch."""
        return self._mounts

    def orders_names(self, device: int) -> bool:
        """Whether committing a file commits all names made before, by st_dev."""
        known = self._known.get(device)
        if known is None:
            known = self._known[device] = self._look_up(device)
        return known

    def type_of(self, device: int) -> str:
        """The type of the file system on a device, "" when it is not known."""
        if self._mounts < 0:
            return ""
        number = f"{os.major(device)}:{os.minor(device)}"
        return _type_of(_read_all(self._mounts), number)

    def forget(self) -> None:
        """Look everything up again: devices may carry other file systems now."""
        self._known.clear()

    def _look_up(self, device: int) -> bool:
        match self.type_of(device):
            case "xfs":
                return True
            case "ext4":
                return _has_journal_inside(f"{os.major(device)}:{os.minor(device)}")
        return False


def _content(path: str) -> str:
    # As bytes: to look up an encoding by its name may import it, and now it is too late
    # for that.
    with open(path, "rb") as file:
        return os.fsdecode(file.read()).strip()


def _read_all(fd: int) -> str:
    parts = []
    os.lseek(fd, 0, os.SEEK_SET)
    while part := os.read(fd, 65_536):
        parts.append(part)
    return os.fsdecode(b"".join(parts))


def _type_of(mounts: str, number: str) -> str:
    """The type of the file system on a device, "" when it is not mounted here.

    Source: proc(5), /proc/pid/mountinfo.
    """
    for line in mounts.splitlines():
        place, _, kind = line.partition(" - ")
        if place.split(" ", 3)[2] == number:
            return kind.split(" ", 1)[0]
    return ""


def _has_journal_inside(number: str) -> bool:
    """Whether an ext4 has a journal, and on its own device.

    Source: /sys/fs/ext4/*/journal_task holds the id of the kernel's journal thread,
    which is called jbd2/DEVICE-INODE, or "<none>".
    """
    try:
        name = os.path.basename(os.readlink(f"/sys/dev/block/{number}"))
        task = _content(f"/sys/fs/ext4/{name}/journal_task")
        if not task.isdigit():
            return False
        comm = _content(f"/proc/{task}/comm")
    except OSError:
        return False
    # The kernel cuts the name of a thread to 15 characters.
    return comm == f"jbd2/{name}-8"[:15]
