from __future__ import annotations

import os
import select
import subprocess
from pathlib import Path

import pytest

from postvirt.system import mounts
from postvirt.system.file_systems import FileSystems
from tests.harness.child import in_child
from tests.harness.file_systems import (
    Mount,
    formatted,
    leave_the_mounts_of_the_others,
    loop_device,
    mounted,
    tmpfs,
    with_journal_elsewhere,
)
from tests.harness.remote_directory import mount_remote

EXT4 = ("mkfs.ext4", "-q")
XFS_BYTES = 300 << 20  # what mkfs.xfs insists on

MOUNTS = {
    "ext4": (formatted(*EXT4), True),
    "ext4, data=journal": (formatted(*EXT4, options="data=journal"), True),
    "ext4, data=writeback": (formatted(*EXT4, options="data=writeback"), True),
    "ext4, no journal": (formatted(*EXT4, "-O", "^has_journal"), False),
    "ext4, external journal": (with_journal_elsewhere, False),
    "xfs": (formatted("mkfs.xfs", "-q", size_bytes=XFS_BYTES), True),
    "btrfs": (formatted("mkfs.btrfs", "-q"), False),
    "tmpfs": (tmpfs(size=1 << 20), False),
}


@pytest.mark.root
@pytest.mark.parametrize(("mount", "expected"), MOUNTS.values(), ids=MOUNTS)
def test_ext4_and_xfs_keep_names_in_order(
    ground: Path, mount: Mount, expected: bool
) -> None:
    place = ground / "disk"
    place.mkdir()

    def ask() -> tuple[bool, bool]:
        with mounted(mount, place):
            known = FileSystems()
            device = place.stat().st_dev
            return known.orders_names(device), known.orders_names(device)

    assert in_child(ask) == (expected, expected)


@pytest.mark.root
def test_what_another_machine_keeps_is_known(ground: Path) -> None:
    (ground / "there").mkdir()
    (ground / "here").mkdir()

    def ask() -> tuple[bool, bool]:
        leave_the_mounts_of_the_others()
        mount_remote(ground / "there", ground / "here")
        known = FileSystems()
        there, here = (os.stat(ground / name) for name in ("there", "here"))
        return known.is_remote(there.st_dev), known.is_remote(here.st_dev)

    assert in_child(ask) == (False, True)


@pytest.mark.root
def test_a_mount_is_an_event_and_then_a_device_may_be_another(ground: Path) -> None:
    place = ground / "disk"
    place.mkdir()
    image = ground / "image"
    with image.open("wb") as file:
        file.truncate(64 << 20)

    def work() -> list[bool]:
        leave_the_mounts_of_the_others()
        answers = []
        known = FileSystems()
        poll = select.epoll()
        poll.register(known.fileno(), select.EPOLLPRI | select.EPOLLET)
        with loop_device(image) as device:
            for options in ((), ("-O", "^has_journal")):
                subprocess.run([*EXT4, "-F", *options, device], check=True)
                assert poll.poll(0) == []
                subprocess.run(["mount", device, place], check=True)
                assert poll.poll(20) != []
                answers.append(known.orders_names(place.stat().st_dev))
                known.forget()
                answers.append(known.orders_names(place.stat().st_dev))
                subprocess.run(["umount", place], check=True)
                assert poll.poll(20) != []
        return answers

    # What is known is believed until it is to be forgotten.
    assert in_child(work) == [True, True, True, False]


def test_a_device_that_is_not_mounted_here_is_not_trusted() -> None:
    assert not FileSystems().orders_names(os.makedev(4000, 4000))


def test_without_proc_nothing_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a chroot jail."""
    monkeypatch.setattr(mounts, "MOUNTINFO", "/nonexistent")
    known = FileSystems()
    assert known.fileno() == -1
    assert not known.orders_names(os.stat("/").st_dev)
    assert known.is_remote(os.stat("/").st_dev)
