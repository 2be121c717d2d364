"""Steps that put something into a folder before a delivery.

Owners are given by their uid; the group has the same number.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from postvirt.standin.instance import Instance

Step = Callable[[Path], None]

RECIPIENT = 5000
OLD_MAIL = b"From old@example.org  Thu Jan  1 00:00:00 1970\n\nOld.\n\n"

NULL_DEVICE = stat.S_IFCHR, os.makedev(1, 3)
NO_DEVICE = stat.S_IFBLK, os.makedev(250, 250)


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
