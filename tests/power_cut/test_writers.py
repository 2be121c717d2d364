"""Writers that are wrong on purpose are caught; those that are right are not."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.harness.child import in_child
from tests.power_cut.cuts import explore
from tests.power_cut.devices import FILE_SYSTEMS, FileSystem, own_mounts
from tests.power_cut.mail import Mail
from tests.power_cut.recorder import Acknowledged, Disk, Recorder
from tests.power_cut.recording import record_use

pytestmark = pytest.mark.root

# Delivers one mail, and calls the function when it acknowledges.
Writer = Callable[[Path, Mail, Callable[[], None]], None]

_MAILS = tuple(
    Mail(number, (recipient,), 10_000)
    for number, recipient in enumerate(("maildir", "mbox"))
)

on_each = pytest.mark.parametrize(
    "file_system",
    [one for one in FILE_SYSTEMS if one.name in ("ext4", "xfs", "btrfs")],
    ids=lambda one: one.name,
)


class _Listener:
    """Takes acknowledgements from the test (a Witness)."""

    def __init__(self) -> None:
        self._tells, self._hears = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET
        )

    def close(self) -> None:
        self._tells.close()
        self._hears.close()

    def acknowledge(self, mail: Mail) -> None:
        self._tells.send(str(mail.number).encode())

    def begin(self, disk: Disk) -> None:
        disk.watch(self._hears, lambda: self._hear(disk))
        disk.finish()

    def look(self, disk: Disk) -> None:
        """The socket tells everything."""

    def _hear(self, disk: Disk) -> None:
        number = int(self._hears.recv(100))
        (recipient,) = _MAILS[number].recipients
        disk.events.append(Acknowledged(number, recipient))


def _problems(
    to_maildir: Writer, to_mbox: Writer, file_system: FileSystem, root: Path
) -> list[str]:
    folder = root / "mail"
    folder.mkdir()
    listener = _Listener()

    def use(recorder: Recorder) -> None:
        recorder.run()
        for name in ("maildir", "maildir/tmp", "maildir/new"):
            (folder / name).mkdir()
        for name in ("maildir", "."):
            _commit_directory(folder / name)
        for mail in _MAILS:
            write = to_mbox if mail.recipients == ("mbox",) else to_maildir
            write(folder, mail, partial(listener.acknowledge, mail))

    def work() -> list[str]:
        own_mounts()
        recording = record_use(use, listener, _MAILS, file_system, folder, root)
        return explore(recording, root, random.Random(1), per_epoch=2).problems

    try:
        return in_child(work)
    finally:
        listener.close()


def _create(folder: Path, mail: Mail) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    fd = os.open(folder / f"maildir/tmp/{mail.number}", flags, 0o600)
    os.write(fd, mail.delivered("maildir"))
    return fd


def _publish(folder: Path, mail: Mail) -> None:
    tmp = folder / f"maildir/tmp/{mail.number}"
    os.link(tmp, folder / f"maildir/new/{mail.number}")
    os.unlink(tmp)


def _append(folder: Path, mail: Mail) -> int:
    fd = os.open(folder / "mbox", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    head = b"From alice@example.org  Sun Nov  1 12:00:00 2026\n"
    os.write(fd, head + mail.delivered("mbox"))
    return fd


def _commit(fd: int) -> None:
    os.fsync(fd)
    os.close(fd)


def _commit_directory(path: Path) -> None:
    _commit(os.open(path, os.O_RDONLY | os.O_DIRECTORY))


def _file_then_name(folder: Path, mail: Mail, acknowledge: Callable[[], None]) -> None:
    _commit(_create(folder, mail))
    _publish(folder, mail)
    _commit_directory(folder / "maildir/new")
    acknowledge()


def _name_before_data(
    folder: Path, mail: Mail, acknowledge: Callable[[], None]
) -> None:
    fd = _create(folder, mail)
    _publish(folder, mail)
    _commit_directory(folder / "maildir/new")
    _commit(fd)
    acknowledge()


def _name_after_acknowledgement(
    folder: Path, mail: Mail, acknowledge: Callable[[], None]
) -> None:
    _commit(_create(folder, mail))
    _publish(folder, mail)
    acknowledge()
    _commit_directory(folder / "maildir/new")


def _append_and_commit(
    folder: Path, mail: Mail, acknowledge: Callable[[], None]
) -> None:
    _commit(_append(folder, mail))
    _commit_directory(folder)
    acknowledge()


def _commit_after_acknowledgement(
    folder: Path, mail: Mail, acknowledge: Callable[[], None]
) -> None:
    fd = _append(folder, mail)
    acknowledge()
    _commit(fd)


@on_each
def test_right_writers_are_not_blamed(file_system: FileSystem, root: Path) -> None:
    assert not _problems(_file_then_name, _append_and_commit, file_system, root)


@on_each
def test_a_name_without_its_data_is_caught(file_system: FileSystem, root: Path) -> None:
    problems = _problems(_name_before_data, _append_and_commit, file_system, root)
    assert any("maildir/new/0, 0 bytes, is not complete" in one for one in problems)


@on_each
def test_an_early_acknowledgement_is_caught(
    file_system: FileSystem, root: Path
) -> None:
    problems = _problems(
        _name_after_acknowledgement, _append_and_commit, file_system, root
    )
    assert any("mail 0 for maildir is acknowledged" in one for one in problems)


@on_each
def test_an_early_acknowledgement_of_an_mbox_is_caught(
    file_system: FileSystem, root: Path
) -> None:
    problems = _problems(
        _file_then_name, _commit_after_acknowledgement, file_system, root
    )
    expected = "mail 1 for mbox is acknowledged and not in the file"
    assert any(one.endswith(expected) for one in problems)
