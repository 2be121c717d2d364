"""Locks on network file systems."""

from __future__ import annotations

import pytest

from postvirt.inspection.machine import storage
from postvirt.inspection.machine.storage import lock_trouble
from postvirt.system.mounts import Mount
from tests.harness.installations import Installation, problems_of


def mount(type_: str, *options: str) -> Mount:
    return Mount(98, 52, "/srv/mail", type_, "nas:/mail", frozenset(options))


@pytest.mark.parametrize(
    ("where", "locks"),
    [
        (None, "flock"),
        (mount("ext4"), "flock, fcntl"),
        (mount("nfs4", "local_lock=none"), "fcntl, dotlock"),
        (mount("nfs4", "local_lock=none"), "flock"),
        (mount("nfs4", "local_lock=none"), "fcntl"),
        (mount("nfs", "nolock", "local_lock=all"), "fcntl, dotlock"),
        (mount("nfs", "local_lock=flock"), "fcntl"),
        (mount("fuse.sshfs"), "dotlock"),
    ],
)
def test_locks_that_work(where: Mount | None, locks: str) -> None:
    assert lock_trouble(where, locks) == ""


@pytest.mark.parametrize(
    ("where", "locks", "part"),
    [
        (mount("nfs4"), "flock, fcntl, dotlock", "one may block the other"),
        (mount("nfs", "nolock"), "fcntl", "on this machine only"),
        (mount("nfs", "local_lock=all"), "flock", "on this machine only"),
        (mount("nfs", "local_lock=posix"), "fcntl", "on this machine only"),
        (mount("fuse.sshfs"), "fcntl", "on this machine only"),
    ],
)
def test_locks_that_do_not(where: Mount, locks: str, part: str) -> None:
    assert part in lock_trouble(where, locks)


@pytest.mark.root
@pytest.mark.parametrize(("mailbox", "count"), [("bob/", 0), ("bob", 1)])
def test_locks_matter_where_there_is_an_mbox_file(
    mailbox: str,
    count: int,
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "mount_of", lambda _: mount("nfs", "nolock"))
    installation.mailboxes({"bob@example.com": mailbox})
    installation.set(virtual_mailbox_lock="fcntl")
    codes = [one.code for one in problems_of(installation)]
    assert codes.count("PV604") == count
