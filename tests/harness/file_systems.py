"""Small file systems over a directory, to fill them up or to see how they are used.

They are mounted in a mount namespace of the calling thread: only this thread, threads
and processes that it starts later see them, and the kernel takes them away with the
last of these, however the test ends. (A child process serves as well as a thread.)
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

# Mounts something on the directory.
Mount = Callable[[Path], None]

_CLONE_NEWNS = 0x0002_0000
_MS_REC_PRIVATE = 0x4000 | 0x4_0000
_MNT_DETACH = 2
# What mkfs.btrfs insists on; the image is sparse.
_BTRFS_BYTES = 128 << 20


def leave_the_mounts_of_the_others() -> None:
    """What this thread mounts from now on is its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if (
        libc.unshare(_CLONE_NEWNS) != 0
        or libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None) != 0
    ):
        reason = errno.errorcode.get(ctypes.get_errno(), "?")
        pytest.skip(f"this process may not mount file systems ({reason})")


def leave_proc() -> None:
    """There is no /proc for this thread from now on, as in some containers."""
    leave_the_mounts_of_the_others()
    tmpfs()(Path("/proc"))


@contextmanager
def mounted(mount: Mount, directory: Path) -> Iterator[None]:
    """Mount something and take it away again."""
    leave_the_mounts_of_the_others()
    try:
        mount(directory)
        yield
    finally:
        for path in (directory, _memory(directory)):
            ctypes.CDLL(None).umount2(os.fsencode(path), _MNT_DETACH)


def tmpfs(**limits: int) -> Mount:
    """A tmpfs with limits such as size (in bytes) and nr_inodes; its root counts."""
    options = ",".join(f"{name}={value}" for name, value in limits.items())

    def mount(directory: Path) -> None:
        _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", directory)

    return mount


def ext4(size_bytes: int, edits: Sequence[str] = ()) -> Mount:
    """An ext4 file system in a file; edits are commands for debugfs(8)."""

    def mount(directory: Path) -> None:
        image = _image(directory, size_bytes)
        _run("mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", image)
        # debugfs tells of its failures, but not in its exit status.
        complaints = _run(
            "debugfs", "-w", "-f", "-", image, stdin="\n".join((*edits, ""))
        )
        errors = [
            line
            for line in complaints.splitlines()
            if not line.startswith(("debugfs", "Allocated inode", " "))
        ]
        assert not errors, complaints
        # Room is taken when it is asked for: it ends at the same byte each time.
        _run("mount", "-o", "loop,nodelalloc", image, directory)

    return mount


def formatted(
    *command: str, options: str = "", size_bytes: int = _BTRFS_BYTES
) -> Mount:
    """A file system in a file, made by this mkfs command."""

    def mount(directory: Path) -> None:
        image = _image(directory, size_bytes)
        _run(*command, image)
        _run("mount", "-o", f"loop{options and ','}{options}", image, directory)

    return mount


def with_journal_elsewhere(directory: Path) -> None:
    """An ext4 whose journal is on another device."""
    image = _image(directory, _BTRFS_BYTES)
    journal = image.with_name("journal")
    with journal.open("wb") as file:
        file.truncate(_BTRFS_BYTES)
    with loop_device(journal) as device:
        _run("mkfs.ext4", "-q", "-b", "4096", "-O", "journal_dev", device)
        _run("mkfs.ext4", "-q", "-b", "4096", "-J", f"device={device}", image)
        _run("mount", "-o", "loop", image, directory)


@contextmanager
def loop_device(image: Path) -> Iterator[str]:
    """A block device; it goes when the block has ended and nobody uses it any more."""
    device = _run("losetup", "--find", "--show", image).strip()
    try:
        yield device
    finally:
        _run("losetup", "-d", device)


def btrfs(quota_bytes: int) -> Mount:
    """A btrfs file system in a file, with room for so many bytes by its quota.

    A kernel need not have what a user's quota on ext4 or xfs takes; the quota of a
    btrfs subvolume is the kernel's own, and what it says is EDQUOT, too.
    """

    def mount(directory: Path) -> None:
        image = _image(directory, _BTRFS_BYTES)
        _run("mkfs.btrfs", "-q", image)
        _run("mount", "-o", "loop", image, directory)
        _run("btrfs", "quota", "enable", directory)
        _run("btrfs", "qgroup", "limit", f"{quota_bytes}", directory)

    return mount


def overlay(fill: Callable[[Path], None]) -> Mount:
    """An overlay; `fill` fills the directory below, which nothing changes."""

    def mount(directory: Path) -> None:
        memory = _memory(directory)
        memory.mkdir()
        _run("mount", "-t", "tmpfs", "tmpfs", memory)
        for name in ("lower", "upper", "work"):
            (memory / name).mkdir()
        fill(memory / "lower")
        options = ",".join(
            f"{name}dir={memory / name}" for name in ("lower", "upper", "work")
        )
        _run("mount", "-t", "overlay", "-o", options, "overlay", directory)

    return mount


def _image(directory: Path, size_bytes: int) -> Path:
    """A file for a file system, in memory: nobody else's work slows it down."""
    memory = _memory(directory)
    memory.mkdir()
    _run("mount", "-t", "tmpfs", "tmpfs", memory)
    image = image_of(directory)
    with image.open("wb") as file:
        file.truncate(size_bytes)
    return image


def image_of(directory: Path) -> Path:
    """Where the file is that a file system on this directory is in."""
    return _memory(directory) / "image"


def _memory(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.memory")


def _run(*command: str | Path, stdin: str = "") -> str:
    done = subprocess.run(
        command,
        check=False,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout
