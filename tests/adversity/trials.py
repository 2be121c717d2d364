"""The trials: what happens to the machine while mail comes.

Each takes the program, and is run in a process of its own, whose mounts nobody else
sees.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from postvirt.standin.instance import Instance
from tests.adversity.stream import (
    DEFERRED,
    MAILDIRS,
    MANY,
    MBOXES,
    Result,
    Site,
    wait_until,
)
from tests.harness.agents import agents
from tests.harness.child import public_directory
from tests.harness.file_systems import Mount, formatted, image_of, mounted
from tests.harness.memory_group import memory_group
from tests.harness.set_clock import Clock

Trial = Callable[[Path], Result]

_MS_RDONLY, _MS_REMOUNT = 1, 32
_libc = ctypes.CDLL(None, use_errno=True)

_EXT4 = "mkfs.ext4 -q -F -m 0 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0"
# How many answers are waited for, before and after something happens.
_SOME = 20
_DAY = 86_400
# Longer than a worker may hang before its clients are answered.
_HANG_SECONDS = 8.0
_LITTLE_BYTES, _MUCH_BYTES = 300_000, 1_000_000


@contextmanager
def site_on(mount: Mount, program: Path, **parameters: str) -> Iterator[Site]:
    """A site whose mailboxes are on a file system of their own."""
    with public_directory() as root:
        instance = Instance(root)
        # While nothing is mounted there, nothing can be delivered there.
        os.chown(instance.mail, 0, 0)
        with mounted(mount, instance.mail):
            instance.recipient_owner.give(instance.mail)
            with Site(instance, program, parameters) as site:
                yield site


def _ext4(size_bytes: int, *options: str) -> Mount:
    return formatted(*_EXT4.split(), *options, size_bytes=size_bytes)


def remount_read_only(program: Path) -> Result:
    """The administrator makes the file system read-only, and writable again."""
    with site_on(_ext4(32 << 20), program) as site:
        mail = site.instance.mail
        with site.stream():
            site.wait_for_more(_SOME)
            wait_until(lambda: _remount(mail, _MS_RDONLY), "remount,ro")
            site.wait_for_more(_SOME, DEFERRED)
            assert _remount(mail, 0)
            site.wait_for_more(_SOME)
        return site.settle()


def _remount(directory: Path, flags: int) -> bool:
    """False while files are open for writing."""
    all_flags = ctypes.c_ulong(_MS_REMOUNT | flags)
    return _libc.mount(b"none", os.fsencode(directory), None, all_flags, None) == 0


def _gone(
    mount: Mount, go: Callable[[Path], None], names: Sequence[str] = MAILDIRS
) -> Trial:
    """The file system goes away, and is mounted again as after a power cut."""

    def trial(program: Path) -> Result:
        # Dot locks would outlive the disk, for stale_lock_time.
        with site_on(mount, program, virtual_mailbox_lock="fcntl") as site:
            mail = site.instance.mail
            device = _device_of(mail)
            with site.stream(size_bytes=200_000, names=[(name,) for name in names]):
                site.wait_for_more(_SOME)
                go(mail)
                site.wait_for_more(_SOME, DEFERRED)
                # Files that are open keep it a little longer.
                _run("umount", "--lazy", mail)
                wait_until(lambda: not _has_file(device), "the end of the mount")
                _run("mount", "-o", "loop", image_of(mail), mail)
                site.wait_for_more(_SOME)
            return site.settle()

    return trial


def _shutdown(directory: Path) -> None:
    _run("xfs_io", "-x", "-c", "shutdown", directory)


def _find_error(directory: Path) -> None:
    """Let ext4 find itself damaged; with errors=remount-ro it ends all changes."""
    device = Path(_device_of(directory)).name
    Path("/sys/fs/ext4", device, "trigger_fs_error").write_text("a test")


def _device_of(directory: Path) -> str:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    mounts = [line.split() for line in lines]
    return next(one[0] for one in mounts if one[1] == os.fspath(directory))


def _has_file(loop_device: str) -> bool:
    return Path("/sys/block", Path(loop_device).name, "loop").exists()


def _full(mount: Mount, use_up: Callable[[Path], None], size_bytes: int) -> Trial:
    """Mail until there is no room, then room is made."""

    def trial(program: Path) -> Result:
        with site_on(mount, program) as site:
            filler = site.instance.mail / "filler"
            filler.mkdir()
            with site.stream(size_bytes=size_bytes):
                site.wait_for_more(_SOME)
                use_up(filler)
                site.wait_for_more(_SOME, DEFERRED)
                for path in filler.iterdir():
                    path.unlink()
                site.wait_for_more(_SOME)
            return site.settle()

    return trial


def _all_blocks(filler: Path) -> None:
    with suppress(OSError), (filler / "blocks").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))


def _all_inodes(filler: Path) -> None:
    with suppress(OSError):
        for number in itertools.count():
            (filler / f"{number}").touch()


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def set_clock(program: Path) -> Result:
    """Somebody sets the clock, forth and back, by seconds and by years."""
    with public_directory() as root:
        instance = Instance(root)
        clock = Clock(root)
        with (
            Site(instance, program, environment=clock.environment) as site,
            site.stream(),
        ):
            for seconds in (-1, 1, 3600, -7200, 400 * _DAY, -400 * _DAY, 0):
                clock.set(seconds)
                site.wait_for_more(_SOME)
        result = site.settle()
    assert not [line for line in site.log() if re.search(r"delays?=\S*-", line)]
    return result


def memory_limit(program: Path) -> Result:
    """Processes are killed, because their control group has no memory for them."""
    with (
        memory_group() as group,
        # Dot locks would outlive the processes.
        site_on(_ext4(1 << 30), program, virtual_mailbox_lock="fcntl") as site,
    ):
        with site.stream():
            site.wait_for_more(_SOME)
            for pid in site.processes():
                group.take(pid)
            group.limit(_LITTLE_BYTES)
            with site.stream(2, _MUCH_BYTES, [MANY]):
                wait_until(lambda: group.kills() > 0, "no process is killed")
                site.wait_for_more(_SOME)
            group.limit(-1)
        return site.settle()


def memory_hang(program: Path) -> Result:
    """Processes hang, as their control group lets them wait for memory."""
    with (
        memory_group() as group,
        site_on(_ext4(1 << 30), program, virtual_mailbox_lock="fcntl") as site,
    ):
        with site.stream():
            site.wait_for_more(_SOME)
            found = agents(site.instance)
            parents = {one.parent for one in found}
            for one in found:
                if one.pid not in parents:  # it is at work itself
                    group.take(one.pid)
            group.wait_for_memory(waits=True)
            group.limit(_LITTLE_BYTES)
            with site.stream(2, _MUCH_BYTES, [MANY]):
                time.sleep(_HANG_SECONDS)
            group.limit(-1)
        return site.settle()


def address_space(program: Path) -> Result:
    """Memory ends in the middle, as by RLIMIT_AS: whatever asks for more fails."""
    with public_directory() as directory:
        limit, script = directory / "limit", directory / "limited"
        limit.write_text("unlimited")
        script.write_text(
            f'#!/bin/sh\nulimit -S -v $(cat {limit}) && exec {program} "$@"\n'
        )
        script.chmod(0o755)
        with site_on(_ext4(1 << 30), script, virtual_mailbox_lock="fcntl") as site:
            site.try_once(site.new_message(("maildir",), 0))
            size = max(_size_kbytes(pid) for pid in site.processes())
            limit.write_text(f"{size + _LITTLE_BYTES // 1024}")
            _end(site)
            with site.stream(), site.stream(2, _MUCH_BYTES, [MANY]):
                site.wait_for_more(2, DEFERRED)
                site.wait_for_more(_SOME)
            limit.write_text("unlimited")
            _end(site)
            return site.settle()


def _end(site: Site) -> None:
    """Have the agent started again."""
    for pid in site.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def _size_kbytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmSize:\s+(\d+)", status)[0])


_FRAIL_EXT4 = _ext4(64 << 20, "-e", "remount-ro")
_XFS = formatted(*"mkfs.xfs -q -f -K".split(), size_bytes=320 << 20)

# In a second or two each, and always in the same places.
SHORT: Mapping[str, Trial] = {
    "remount-read-only": remount_read_only,
    "error-ext4": _gone(_FRAIL_EXT4, _find_error),
    "shutdown-ext4": _gone(_ext4(64 << 20), _shutdown),
    "shutdown-xfs": _gone(_XFS, _shutdown),
    "full-ext4": _full(_ext4(32 << 20), _all_blocks, 20_000),
    "inodes-ext4": _full(_ext4(32 << 20, "-N", "1000"), _all_inodes, 2_000),
    "set-clock": set_clock,
    "memory-limit": memory_limit,
}
TRIALS = {
    **SHORT,
    "error-ext4-mbox": _gone(_FRAIL_EXT4, _find_error, MBOXES),
    "shutdown-ext4-mbox": _gone(_ext4(64 << 20), _shutdown, MBOXES),
    "shutdown-xfs-mbox": _gone(_XFS, _shutdown, MBOXES),
    "memory-hang": memory_hang,
    "address-space": address_space,
}
