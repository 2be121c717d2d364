"""What committing a file does on the file system that it is on.

On ext4 and xfs one log records all changes of names and inodes, in the order in which
they were made. So a commit of one file also commits every name that was made before, in
whatever directory: `orders_names`. On other file systems, and on unknown ones, every
directory needs a commit of its own.

An ext4 without a journal has no such order, and one whose journal is on another device
keeps names and data in two caches. Both are treated like other file systems.

A file system of other machines may confirm the commit of a directory although it has
done nothing: GlusterFS does, and FUSE does where a server has no such call. What its
machines keep the files on is ext4 or xfs as a rule, where committing the file commits
the name that it has received. So a file there is committed once more with its
directories: `is_remote`. tests/cluster/test_volumes.py cuts the power of such machines.
"""

from __future__ import annotations

import os

from postvirt.system import mounts

# Other machines change files there without this kernel noticing, and may not answer.
_REMOTE = tuple(
    "9p afs ceph cifs fuse gfs2 lustre nfs ocfs2 smb3 smbfs virtiofs".split()
)


def is_remote(type_: str) -> bool:
    """Whether the files of a type of file system are another machine's."""
    return type_.startswith(_REMOTE)


class FileSystems:
    """Answers for devices, cached until a mount changes.

    `fileno` is a descriptor that poll(2) reports (POLLPRI) when a mount changes; call
    `forget` then. It is -1 if there is no /proc.
    """

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}
        self._remote: dict[int, bool] = {}
        try:
            self._mounts = os.open(mounts.MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
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

    def are_known_to_order_names(self, device: int) -> bool:
        """The same, but False if nothing has asked for this device before."""
        return self._known.get(device, False)

    def is_remote(self, device: int) -> bool:
        """Whether its files are another machine's, by st_dev; they are if in doubt."""
        remote = self._remote.get(device)
        if remote is None:
            remote = self._mounts < 0 or is_remote(self.type_of(device))
            self._remote[device] = remote
        return remote

    def type_of(self, device: int) -> str:
        """The type of the file system on a device, "" if it is not mounted here."""
        if self._mounts < 0:
            return ""
        # Every worker asks, so the other lines, hundreds perhaps, are not parsed.
        number = b" %d:%d " % (os.major(device), os.minor(device))
        lines = _read_all(self._mounts).splitlines()
        for mount in mounts.parse(b"\n".join(one for one in lines if number in one)):
            if mount.device == device:
                return mount.type
        return ""

    def forget(self) -> None:
        """Clear the cache: a device may contain another file system now."""
        self._known.clear()
        self._remote.clear()

    def _look_up(self, device: int) -> bool:
        match self.type_of(device):
            case "xfs":
                return True
            case "ext4":
                return _has_journal_inside(f"{os.major(device)}:{os.minor(device)}")
        return False


def _read_all(fd: int) -> bytes:
    parts = []
    os.lseek(fd, 0, os.SEEK_SET)
    while part := os.read(fd, 65_536):
        parts.append(part)
    return b"".join(parts)


def _has_journal_inside(number: str) -> bool:
    """Whether an ext4 has a journal, and on its own device.

    Source: /proc/fs/jbd2 has a directory for each journal, DEVICE-INODE, or DEVICE if
    the journal is all of that device. A container sees it, too, but not the thread of
    the kernel for the journal.
    """
    try:
        name = os.path.basename(os.readlink(f"/sys/dev/block/{number}"))
    except OSError:
        return False
    return os.path.isdir(f"/proc/fs/jbd2/{name}-8")
