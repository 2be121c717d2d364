"""New file systems on loop devices.

A store is one image file; every `mounted` makes a new file system in it, so that
nothing a run leaves behind (free space in pieces, deferred deletions, a full journal)
is there for the next one. The image is in a tmpfs of its own, or a file on the
machine's disk that is written once beforehand: blocks that the disk's file system would
have to allocate during a run would be measured too.

Everything is undone when the contexts are left. The loop device goes with the mount
and the image has no name, so that a mount namespace that ends cleans up as well.

Raises: subprocess.CalledProcessError, with what the command said on standard error.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmark import interruption

_MIB = 1 << 20

# Nothing is left for the kernel to do in the background once the file system is
# mounted, and the blocks of an image on disk stay allocated.
_MAKE: Mapping[str, tuple[str, ...]] = {
    "ext4": (
        *("mkfs.ext4", "-q", "-F", "-i", "8192"),
        *("-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"),
    ),
    "xfs": ("mkfs.xfs", "-q", "-f", "-K"),
    "btrfs": ("mkfs.btrfs", "-q", "-f", "-K"),
}
FILE_SYSTEMS = tuple(_MAKE)


@dataclass(frozen=True, slots=True)
class Store:
    """An image, and where the file systems in it are mounted.

    is_direct   the loop device goes past the page cache, as it should on a disk
    """

    image: Path
    mount_point: Path
    is_direct: bool

    @contextmanager
    def mounted(self, file_system: str = "ext4") -> Iterator[Path]:
        """Make a new file system, mount it, and unmount it in the end."""
        mount_point = os.fspath(self.mount_point)
        try:
            with interruption.postponed():
                device = self._attach()
                try:
                    _command(*_MAKE[file_system], device)
                    _command("mount", "-t", file_system, device, mount_point)
                finally:
                    # As long as it is mounted, this only says that it goes afterwards.
                    _command("losetup", "--detach", device)
            self.mount_point.chmod(0o755)
            yield self.mount_point
        finally:
            _unmount(self.mount_point)

    def _attach(self) -> str:
        direct = f"--direct-io={'on' if self.is_direct else 'off'}"
        return _command("losetup", "--find", "--show", direct, os.fspath(self.image))


@contextmanager
def in_memory(size_bytes: int) -> Iterator[Store]:
    """A store in memory, which is taken as it is used."""
    with _directory() as directory:
        memory = directory / "memory"
        memory.mkdir()
        size = f"size={size_bytes + _MIB}"
        try:
            with interruption.postponed():
                _command("mount", "-t", "tmpfs", "-o", size, "tmpfs", os.fspath(memory))
            with _image(memory, size_bytes, is_written=False) as image:
                yield Store(image, _mount_point(directory), is_direct=False)
        finally:
            # The kernel may not have let go of the last loop device yet.
            _unmount(memory, "--lazy")


@contextmanager
def on_disk(size_bytes: int) -> Iterator[Store]:
    """A store on the disk that has /var/tmp."""
    with (
        _directory("/var/tmp") as directory,
        _image(directory, size_bytes, is_written=True) as image,
    ):
        yield Store(image, _mount_point(directory), is_direct=True)


STORES: Mapping[str, Callable[[int], AbstractContextManager[Store]]] = {
    "memory": in_memory,
    "disk": on_disk,
}


@contextmanager
def _directory(parent: str | None = None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="postvirt-store-", dir=parent) as name:
        os.chmod(name, 0o755)
        yield Path(name)


def _mount_point(directory: Path) -> Path:
    path = directory / "fs"
    path.mkdir()
    return path


@contextmanager
def _image(directory: Path, size_bytes: int, *, is_written: bool) -> Iterator[Path]:
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        if is_written:
            for _ in range(0, size_bytes, _MIB):
                file.write(bytes(_MIB))
            os.fsync(file.fileno())
        file.truncate(size_bytes)
        yield Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")


def _unmount(mount_point: Path, *options: str) -> None:
    with interruption.postponed():
        if mount_point.is_mount():
            _command("umount", *options, os.fspath(mount_point))


def _command(*command: str) -> str:
    done = subprocess.run(
        command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip()
