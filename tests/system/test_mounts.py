"""Which file system a path is on, as the kernel tells it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from postvirt.system.mounts import Mount, covering, is_below, mount_of, parse
from tests.harness.child import in_child
from tests.harness.file_systems import leave_the_mounts_of_the_others, tmpfs

# From machines; the third has a blank in its name, the fifth no optional fields.
MOUNTINFO = rb"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
40 22 8:17 / /srv/old\040mail ro,nosuid shared:20 master:1 - xfs /dev/sdb1 rw,attr2
98 22 0:52 / /srv/mail rw,relatime shared:50 - nfs4 nas:/mail rw,hard,local_lock=none
99 98 0:53 / /srv/mail/b rw - fuse.sshfs user@host: rw,user_id=0
100 22 0:54 / /srv/mail rw,relatime - nfs nas:/new rw,vers=3,nolock,local_lock=all
broken line
"""


def test_the_fields() -> None:
    mounts = parse(MOUNTINFO)
    assert [mount.point for mount in mounts] == [
        "/",
        "/proc",
        "/srv/old mail",
        "/srv/mail",
        "/srv/mail/b",
        "/srv/mail",
    ]
    assert mounts[2] == Mount(
        40,
        os.makedev(8, 17),
        "/srv/old mail",
        "xfs",
        "/dev/sdb1",
        frozenset({"ro", "nosuid", "rw", "attr2"}),
    )
    assert mounts[3].value("local_lock") == "none"
    assert mounts[3].value("hard") == ""
    assert mounts[4].type == "fuse.sshfs"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/", "/dev/sda1"),
        ("/srv/mailx", "/dev/sda1"),
        ("/srv/old mail/bob", "/dev/sdb1"),
        ("/srv/mail", "nas:/new"),  # the one that was mounted over the other
        ("/srv/mail/b/c", "user@host:"),
    ],
)
def test_the_mount_that_has_a_path(path: str, source: str) -> None:
    found = covering(parse(MOUNTINFO), path)
    assert found is not None
    assert found.source == source


def test_what_is_below() -> None:
    assert is_below("/a/b", "/a")
    assert is_below("/a", "/a")
    assert is_below("/a", "/")
    assert not is_below("/ab", "/a")


@pytest.mark.root
def test_a_real_mount_through_a_link(tmp_path: Path) -> None:
    directory = tmp_path / "a b"
    directory.mkdir()
    (tmp_path / "link").symlink_to(directory)

    def look() -> Mount | None:
        leave_the_mounts_of_the_others()
        tmpfs(size=1 << 20)(directory)
        return mount_of(os.fspath(tmp_path / "link/deeper"))

    found = in_child(look)
    assert found is not None
    assert (found.point, found.type) == (str(directory), "tmpfs")
