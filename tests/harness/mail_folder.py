"""Steps that put something into the mail folder before a delivery.

Owners are given by their uid; the group has the same number.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from postvirt.standin.instance import Instance

Step = Callable[[Instance], None]

RECIPIENT = 5000
OLD_MAIL = b"From old@example.org  Thu Jan  1 00:00:00 1970\n\nOld.\n\n"


def together(*steps: Step) -> Step:
    """All steps, one after the other."""

    def prepare(instance: Instance) -> None:
        for step in steps:
            step(instance)

    return prepare


def _made(name: str, make: Callable[[Path], None], mode: int | None, uid: int) -> Step:
    def prepare(instance: Instance) -> None:
        path = instance.mail / name
        make(path)
        os.chown(path, uid, uid, follow_symlinks=False)
        if mode is not None:
            path.chmod(mode)

    return prepare


def file(name: str, *, mode: int = 0o600, uid: int = RECIPIENT) -> Step:
    """A file with one old message."""
    return _made(name, _write, mode, uid)


def _write(path: Path) -> None:
    path.write_bytes(OLD_MAIL)


def directory(name: str, *, mode: int = 0o700, uid: int = RECIPIENT) -> Step:
    """A directory."""
    return _made(name, Path.mkdir, mode, uid)


def maildir(name: str, *, uid: int = RECIPIENT) -> Step:
    """A maildir that is complete."""
    parts = (directory(f"{name}/{part}", uid=uid) for part in ("tmp", "new", "cur"))
    return together(directory(name, uid=uid), *parts)


def symlink(name: str, target: str, *, uid: int = RECIPIENT) -> Step:
    """A symbolic link; the target is taken as it is."""
    return _made(name, lambda path: path.symlink_to(target), None, uid)


def hard_link(name: str, other: str) -> Step:
    """Another name for a file."""

    def prepare(instance: Instance) -> None:
        os.link(instance.mail / name, instance.mail / other)

    return prepare


def fifo(name: str, *, mode: int = 0o600, uid: int = RECIPIENT) -> Step:
    """A named pipe that nobody reads."""
    return _made(name, os.mkfifo, mode, uid)


def listening_socket(name: str, *, uid: int = RECIPIENT) -> Step:
    """A socket whose owner has gone away."""

    def bind(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))

    return _made(name, bind, 0o600, uid)


def device(name: str, kind: int, number: tuple[int, int]) -> Step:
    """A device file, stat.S_IFCHR or stat.S_IFBLK."""

    def make(path: Path) -> None:
        os.mknod(path, kind | 0o600, os.makedev(*number))

    return _made(name, make, 0o600, RECIPIENT)


NULL_DEVICE = (stat.S_IFCHR, (1, 3))
NO_DEVICE = (stat.S_IFBLK, (250, 250))


def access(name: str, mode: int, *, uid: int = RECIPIENT) -> Step:
    """Who owns a place that is there already, and what he may do; "" is the folder."""

    def prepare(instance: Instance) -> None:
        path = instance.mail / name
        os.chown(path, uid, uid)
        path.chmod(mode)

    return prepare
