"""Where a path is mounted, and how.

Source: proc(5), /proc/pid/mountinfo.
Raises: nothing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_MOUNTS = "/proc/self/mountinfo"
_ESCAPED = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted file system.

    point     where it is mounted
    type      "ext4", "nfs4", "fuse.sshfs" and the like
    source    the device, or what a network file system calls its server
    options   those of the mount and those of the file system, "name" or "name=value"
    """

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
    """The mount that a path is on; None where the kernel does not tell."""
    try:
        with open(_MOUNTS, "rb") as file:
            mounts = parse(file.read())
    except OSError:
        return None
    return covering(mounts, os.path.realpath(path))


def parse(mountinfo: bytes) -> list[Mount]:
    """All mounts; of two on one place the later one counts."""
    mounts = []
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(b" - ")
        places, kind = before.split(b" "), after.split(b" ")
        if not separator or len(places) < 6 or len(kind) < 3:
            continue
        options = b",".join((places[5], *kind[2:])).split(b",")
        mounts.append(
            Mount(
                _plain(places[4]),
                _plain(kind[0]),
                _plain(kind[1]),
                frozenset(_plain(one) for one in options),
            )
        )
    return mounts


def covering(mounts: list[Mount], path: str) -> Mount | None:
    """The mount that has a path without symbolic links."""
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
    """A field without the kernel's escapes of blanks and backslashes."""
    return os.fsdecode(_ESCAPED.sub(lambda m: bytes([int(m[1], 8) & 255]), field))
