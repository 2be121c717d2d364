"""File systems, loop devices and mounts, straight on the system calls.

All of it happens in a process with a mount namespace of its own (`own_mounts`), and
loop devices clear themselves with their last user: nothing is left behind, however the
process ends.

Raises: OSError; subprocess.CalledProcessError when mkfs fails.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG = 1
_CAP_SYS_ADMIN = 1 << 21
_CLONE_NEWNS = 0x0002_0000
_MS_REC_PRIVATE = 0x4000 | 0x4_0000
_MNT_DETACH = 2
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CTL_GET_FREE = 0x4C82
_LO_FLAGS_AUTOCLEAR = 4
_BLKFLSBUF = 0x1261
# struct loop_config: descriptor, block size (0: as the kernel likes), loop_info64 with
# the flags only, and what is reserved.
_LOOP_CONFIG = struct.Struct("=II 52x I 176x 64x")
_EXT4_STATE_OFFSET = 1024 + 0x3A
_EXT4_HAS_ERRORS = 2
# Exit status of e2fsck: up to here everything is repaired.
_REPAIRED = 2

_EXT4 = (
    "mkfs.ext4 -q -F -b 4096 -N 1024 -J size=4 "
    "-E nodiscard,lazy_itable_init=0,lazy_journal_init=0"
)


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A file system and how it is used.

    tear_bytes   the units of which a block write may be cut: ext4 and its journal stand
                 sectors of 512 bytes; btrfs and xfs count on blocks of 4096 bytes, the
                 former for its superblock, the latter for the sequence numbers by which
                 it replays its log
    is_ordered   a file never shows data that were not written; a file system that does
                 not promise it may leave anything behind the last acknowledged message
                 of an mbox
    needs_check  it has no journal: nobody mounts it after a power cut without e2fsck
    """

    name: str
    type: str
    make: str
    size_bytes: int
    options: str = ""
    tear_bytes: int = 512
    is_ordered: bool = True
    needs_check: bool = False

    def make_on(self, image: Path) -> None:
        """Make an empty one in a file."""
        with image.open("wb") as file:
            file.truncate(self.size_bytes)
        subprocess.run(
            [*self.make.split(), os.fspath(image)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def repair(self, image: Path) -> bool:
        """Do what comes before the mount after a power cut; whether that went well."""
        if not self.needs_check:
            return True
        done = subprocess.run(
            ["e2fsck", "-fy", os.fspath(image)], check=False, capture_output=True
        )
        return done.returncode <= _REPAIRED

    def has_errors(self, image: Path) -> bool:
        """Whether the file system, unmounted, says of itself that it is damaged."""
        if self.type != "ext4":
            return False  # these refuse to be mounted, or to be read
        with image.open("rb") as file:
            state = os.pread(file.fileno(), 2, _EXT4_STATE_OFFSET)
        return bool(state[0] & _EXT4_HAS_ERRORS)


FILE_SYSTEMS = (
    FileSystem("ext4", "ext4", _EXT4, 16 << 20),
    FileSystem("ext4-data-journal", "ext4", _EXT4, 16 << 20, "data=journal"),
    FileSystem(
        "ext4-data-writeback",
        "ext4",
        _EXT4,
        16 << 20,
        "data=writeback",
        is_ordered=False,
    ),
    FileSystem("ext4-nodelalloc", "ext4", _EXT4, 16 << 20, "nodelalloc"),
    FileSystem(
        "ext4-no-journal",
        "ext4",
        _EXT4.replace("-J size=4", "-O ^has_journal"),
        16 << 20,
        tear_bytes=4096,
        is_ordered=False,
        needs_check=True,
    ),
    # Smaller than mkfs.xfs likes it, so that a copy costs little; what newer versions
    # do by default requires a log of twice the size.
    FileSystem(
        "xfs",
        "xfs",
        "mkfs.xfs --unsupported -q -f -K -l size=1600b -m rmapbt=0 -i nrext64=0",
        40 << 20,
        "nouuid",
        tear_bytes=4096,
    ),
    FileSystem(
        "btrfs",
        "btrfs",
        "mkfs.btrfs -q -f -K -m single -d single",
        128 << 20,
        "nodiscard",
        tear_bytes=4096,
    ),
)


class LoopDevice:
    """A block device over a file, for as long as this and its mounts are there."""

    def __init__(self, file: Path) -> None:
        backing = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        try:
            self.path, self._fd = _configured_loop(backing)
        finally:
            os.close(backing)

    def forget_buffers(self) -> None:
        """Forget what was read: the file below changes without the device."""
        fcntl.ioctl(self._fd, _BLKFLSBUF)

    def close(self) -> None:
        os.close(self._fd)


def _configured_loop(backing: int) -> tuple[Path, int]:
    config = _LOOP_CONFIG.pack(backing, 0, _LO_FLAGS_AUTOCLEAR)
    with open("/dev/loop-control", "rb", buffering=0) as control:
        while True:
            path = Path(f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}")
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(fd, _LOOP_CONFIGURE, config)
            except OSError as error:
                os.close(fd)
                if error.errno != errno.EBUSY:  # somebody else was faster
                    raise
            else:
                return path, fd


def copy_sparse(source: Path, target: Path) -> None:
    """Make `target` the same as `source`; holes stay holes."""
    with source.open("rb") as old, target.open("wb") as new:
        size = os.fstat(old.fileno()).st_size
        new.truncate(size)
        end = 0
        while end < size:
            try:
                start = os.lseek(old.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                return  # nothing but a hole is left
            end = os.lseek(old.fileno(), start, os.SEEK_HOLE)
            os.pwrite(new.fileno(), os.pread(old.fileno(), end - start, start), start)


def end_with_parent() -> None:
    """This process is killed when the one that forked it ends, however that ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")


def own_mounts() -> None:
    """Mounts of this process and its children are nobody else's from now on."""
    _check(_libc.unshare(_CLONE_NEWNS), "unshare")
    _check(_libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None), "/")


def mount(source: str, target: Path, type_: str, options: str, flags: int = 0) -> None:
    _check(
        _libc.mount(
            source.encode(),
            os.fsencode(target),
            type_.encode(),
            ctypes.c_ulong(flags),
            options.encode(),
        ),
        os.fspath(target),
    )


def unmount(target: Path, *, lazily: bool = False) -> None:
    flags = _MNT_DETACH if lazily else 0
    _check(_libc.umount2(os.fsencode(target), flags), os.fspath(target))


@contextmanager
def mounted(
    file_system: FileSystem, device: LoopDevice, target: Path
) -> Iterator[None]:
    """Mount it; unmounted at the end, whatever happens."""
    mount(str(device.path), target, file_system.type, file_system.options)
    try:
        yield
    finally:
        unmount(target)


def missing_in_kernel() -> str:
    """What this machine does not let us have, or an empty string."""
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not os.access(device, os.R_OK | os.W_OK):
            return f"needs {device}"
    status = Path("/proc/self/status").read_text()
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    if not capabilities & _CAP_SYS_ADMIN:
        return "needs the right to mount file systems"
    return ""


def missing_commands() -> str:
    """What has to be installed, or an empty string."""
    needed = {file_system.make.split()[0] for file_system in FILE_SYSTEMS}
    absent = sorted(name for name in needed if shutil.which(name) is None)
    return f"needs {', '.join(absent)}" if absent else ""


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
