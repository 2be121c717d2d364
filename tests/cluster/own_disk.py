"""A disk of a machine, with a cache that is lost when its power is cut.

It is an ext4 in a file. What is not committed is in the cache, which is the kernel's:
that of all machines, so it would survive. `lose_cache` has ext4 forget it, and write
nothing more; when it is mounted again, it is as after a power cut.

What this does not show: a disk that lies about its own cache, and one that writes a
part of what was not committed, in another order. tests/power_cut has those.
"""

from __future__ import annotations

import fcntl
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.machine import Machine, run
from tests.cluster.waiting import wait_until

# The file is sparse.
_BYTES = 3 << 30
# linux/fs.h, EXT4_IOC_SHUTDOWN: without writing the log first.
_SHUTDOWN = 0x8004_587D
_WITHOUT_LOG = struct.pack("I", 2)
# Nothing is committed for its age alone while a test runs.
_OPTIONS = "loop,commit=300"


def mount_disk(machine: Machine) -> Path:
    """Mount the disk of a machine, which is made the first time: where it is."""
    image, disk = machine.disk / "image", disk_of(machine)
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(_BYTES)
        run("mkfs.ext4", "-q", image)
        disk.mkdir()
    # It is the same one still for as long as the kernel knows it.
    wait_until(lambda: not run("losetup", "--associated", image), "unmounted")
    machine.run("mount", "-o", _OPTIONS, image, disk)
    return disk


def disk_of(machine: Machine) -> Path:
    """Where the machine sees its disk."""
    return machine.disk / "mounted"


def lose_caches(machines: Iterable[Machine]) -> None:
    """Have the disks forget what is not committed, all of them at about once."""
    module = (sys.executable, "-m", __name__)
    all_ = [one.spawn(*module, disk_of(one)) for one in machines]
    if sum(one.wait() for one in all_):
        raise OSError("a disk does not lose its cache")


def main(disk: str) -> None:
    """Lose the cache of a disk, on its machine."""
    with Path(disk, "cut").open("w") as file:
        fcntl.ioctl(file.fileno(), _SHUTDOWN, _WITHOUT_LOG)


if __name__ == "__main__":
    main(*sys.argv[1:])
