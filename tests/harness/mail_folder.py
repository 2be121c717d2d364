"""Steps that put something into a folder before a delivery.

Owners are given by their uid; the group has the same number.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from postvirt.standin.instance import Instance

Step = Callable[[Path], None]

RECIPIENT = 5000
OLD_MAIL = b"From old@example.org  Thu Jan  1 00:00:00 1970\n\nOld.\n\n"

NULL_DEVICE = stat.S_IFCHR, os.makedev(1, 3)
NO_DEVICE = stat.S_IFBLK, os.makedev(250, 250)

# linux/fs.h, linux/posix_acl_xattr.h
_SET_FLAGS = 0x4008_6602
IMMUTABLE, APPEND_ONLY = 0x10, 0x20
_ACL_VERSION = 2
_ACL_TAGS = {"u:": 0x01, "u": 0x02, "g:": 0x04, "g": 0x08, "m:": 0x10, "o:": 0x20}
_NO_ID = 0xFFFF_FFFF


def _made(name: str, make: Callable[[Path], None], mode: int | None, uid: int) -> Step:
    def step(folder: Path) -> None:
        path = folder / name
        make(path)
        os.chown(path, uid, uid, follow_symlinks=False)
        if mode is not None:
            path.chmod(mode)

    return step


def file(name: str, *, mode: int = 0o600, uid: int = RECIPIENT) -> Step:
    """A file with one old message."""
    return _made(name, _write_old_mail, mode, uid)


def _write_old_mail(path: Path) -> None:
    path.write_bytes(OLD_MAIL)


def directory(name: str, *, mode: int = 0o700, uid: int = RECIPIENT) -> Step:
    """A directory."""
    return _made(name, Path.mkdir, mode, uid)


def maildir(name: str, *, uid: int = RECIPIENT) -> Step:
    """A maildir that is complete."""

    def step(folder: Path) -> None:
        for part in ("", "/tmp", "/new", "/cur"):
            directory(name + part, uid=uid)(folder)

    return step


def symlink(name: str, target: str, *, uid: int = RECIPIENT) -> Step:
    """A symbolic link; the target is taken as it is."""
    return _made(name, lambda path: path.symlink_to(target), None, uid)


def hard_link(name: str, other: str) -> Step:
    """Another name for a file."""
    return lambda folder: os.link(folder / name, folder / other)


def fifo(name: str, *, mode: int = 0o600, uid: int = RECIPIENT) -> Step:
    """A named pipe that nobody reads."""
    return _made(name, os.mkfifo, mode, uid)


def dead_socket(name: str) -> Step:
    """A socket whose server has gone away."""

    def bind(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))

    return _made(name, bind, 0o600, RECIPIENT)


def device(name: str, kind_and_number: tuple[int, int]) -> Step:
    """A device file, which root alone can make."""
    kind, number = kind_and_number
    return _made(
        name, lambda path: os.mknod(path, kind | 0o600, number), 0o600, RECIPIENT
    )


def access(name: str, mode: int, *, uid: int = RECIPIENT) -> Step:
    """The mode and owner of what is there already; "" is the folder itself."""

    def step(folder: Path) -> None:
        path = folder / name
        os.chown(path, uid, uid)
        path.chmod(mode)

    return step


def flags(name: str, value: int) -> Step:
    """What chattr(1) sets; "" is the folder itself."""

    def step(folder: Path) -> None:
        fd = os.open(folder / name, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SET_FLAGS, struct.pack("L", value))
        finally:
            os.close(fd)

    return step


def acl(name: str, *entries: str, default: bool = False) -> Step:
    """An access control list in setfacl(1)'s words, "u:5000:rwx" or "m::r".

    The default one is what names that are made in a directory get.
    """
    attribute = f"system.posix_acl_{'default' if default else 'access'}"
    encoded = b"".join(sorted(map(_acl_entry, entries)))
    value = struct.pack("<I", _ACL_VERSION) + encoded
    return lambda folder: os.setxattr(folder / name, attribute, value)


def _acl_entry(entry: str) -> bytes:
    kind, who, rights = entry.split(":")
    bits = sum(1 << "xwr".index(one) for one in rights)
    tag = _ACL_TAGS[kind if who else f"{kind}:"]
    return struct.pack("<HHI", tag, bits, int(who) if who else _NO_ID)


def bound(name: str, source: str, *, read_only: bool = False) -> Step:
    """Mount a file or directory in a second place, in this thread's own namespace."""

    def step(folder: Path) -> None:
        _mount("--bind", folder / source, folder / name)
        if read_only:
            _mount("-o", "remount,bind,ro", folder / name)

    return step


def mounted_on(name: str) -> Step:
    """A file system of its own on a directory, which the recipient owns."""

    def step(folder: Path) -> None:
        options = f"size=1m,mode=700,uid={RECIPIENT},gid={RECIPIENT}"
        _mount("-t", "tmpfs", "-o", options, "tmpfs", folder / name)

    return step


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def before(*steps: Step) -> Callable[[Instance], None]:
    """All steps in the mail folder, as a scenario's `prepare`."""

    def prepare(instance: Instance) -> None:
        for step in steps:
            step(instance.mail)

    return prepare


def before_each(cases: Mapping[str, Sequence[Step]]) -> Callable[[Instance], None]:
    """The steps of each case in a folder of the recipient's that has its name."""

    def prepare(instance: Instance) -> None:
        for name, steps in cases.items():
            directory(name, mode=0o755)(instance.mail)
            for step in steps:
                step(instance.mail / name)

    return prepare
