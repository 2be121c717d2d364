"""What is mounted where, and how.

Source: proc(5), /proc/pid/mountinfo.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

MOUNTINFO = "/proc/self/mountinfo"
_ESCAPED = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mounted file system.

    id        the number of the mount, as in /proc/pid/fdinfo
    device    the file system's st_dev; where files have another one (btrfs), that of
              the whole file system
    point     where it is mounted
    type      "ext4", "nfs4", "fuse.sshfs" and the like
    source    the device, or the network file system's name for its server
    options   those of the mount and those of the file system, "name" or "name=value"
    """

    id: int
    device: int
    point: str
    type: str
    source: str
    options: frozenset[str]

    def value(self, option: str) -> str:
        """The value of an option, "" when it is not set."""
        for one in self.options:
            name, equals, value = one.partition("=")
            if name == option and equals:
                return value
        return ""


def mount_of(path: str) -> Mount | None:
    """The mount that a path is on; None if there is no /proc."""
    return covering(mounted(), os.path.realpath(path))


def mounted() -> list[Mount]:
    """All mounts; none if there is no /proc."""
    try:
        with open(MOUNTINFO, "rb") as file:
            return parse(file.read())
    except OSError:
        return []


def parse(mountinfo: bytes) -> list[Mount]:
    """All mounts; of two on one mount point the later one hides the other."""
    mounts = []
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(b" - ")
        places, kind = before.split(b" "), after.split(b" ")
        if not separator or len(places) < 6 or len(kind) < 3:
            continue
        major, _, minor = places[2].partition(b":")
        options = b",".join((places[5], *kind[2:])).split(b",")
        mounts.append(
            Mount(
                int(places[0]),
                os.makedev(int(major), int(minor)),
                _plain(places[4]),
                _plain(kind[0]),
                _plain(kind[1]),
                frozenset(_plain(one) for one in options),
            )
        )
    return mounts


def covering(mounts: list[Mount], path: str) -> Mount | None:
    """The mount that contains a path without symbolic links."""
    found = None
    for mount in mounts:
        if not is_below(path, mount.point):
            continue
        if found is None or len(mount.point) >= len(found.point):
            found = mount
    return found


def is_below(path: str, directory: str) -> bool:
    """Whether a path is a directory or something in it; both are absolute."""
    return directory == "/" or f"{path}/".startswith(f"{directory}/")


def _plain(field: bytes) -> str:
    """A field with the kernel's escapes of blanks and backslashes resolved."""
    return os.fsdecode(_ESCAPED.sub(lambda m: bytes([int(m[1], 8) & 255]), field))
