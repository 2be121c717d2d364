"""What the kernel says of a quota, and what it means."""

from __future__ import annotations

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from postvirt.system import disk_quota
from postvirt.system.disk_quota import Use
from tests.harness.file_systems import leave_the_mounts_of_the_others

NOW = 1_000.0


@pytest.mark.parametrize(
    ("use", "more", "has_room"),
    [
        (Use(used=0, soft=0, hard=0, soft_until=0), 10**15, True),
        (Use(used=90, soft=0, hard=100, soft_until=0), 10, True),
        (Use(used=90, soft=0, hard=100, soft_until=0), 11, False),
        (Use(used=90, soft=50, hard=100, soft_until=1_001), 10, True),
        (Use(used=90, soft=50, hard=100, soft_until=999), 10, False),
        (Use(used=40, soft=50, hard=100, soft_until=999), 10, True),
        (Use(used=90, soft=50, hard=0, soft_until=0), 10, True),
    ],
)
def test_whether_there_is_room(use: Use, more: int, has_room: bool) -> None:
    assert use.has_room(more, NOW) is has_room


def test_the_answer_of_the_kernel() -> None:
    answer = struct.pack("=8QI4x", 20, 10, 5000, 7, 6, 5, 111, 222, 63)
    found = disk_quota.decoded("user", answer)
    assert found.size == Use(used=5000, soft=10_240, hard=20_480, soft_until=111)
    assert found.inodes == Use(used=5, soft=6, hard=7, soft_until=222)


def test_where_there_is_no_quota(tmp_path: Path) -> None:
    assert list(disk_quota.quotas(bytes(tmp_path / "nothing"))) == []
    assert not disk_quota.has_no_room(bytes(tmp_path / "nothing"), size_bytes=1)


@pytest.mark.root
def test_a_quota_of_the_kernel(tmp_path: Path) -> None:
    """tmpfs has quotas from Linux 6.6 on, where the kernel was built with them."""
    with ThreadPoolExecutor(1) as pool:  # whose mounts are its own
        pool.submit(_on_a_tmpfs, tmp_path).result()


def _on_a_tmpfs(directory: Path) -> None:
    leave_the_mounts_of_the_others()
    options = "usrquota_block_hardlimit=1M,usrquota_inode_hardlimit=3"
    if os.system(f"mount -t tmpfs -o {options} tmpfs {directory} 2>/dev/null"):
        pytest.skip("this kernel has no quotas of tmpfs")
    place = bytes(directory)
    directory.chmod(0o777)
    try:
        os.seteuid(5000)
        (directory / "file").write_bytes(b"x" * 500_000)
        assert not disk_quota.has_no_room(place, size_bytes=400_000)
        assert disk_quota.has_no_room(place, size_bytes=600_000)
        assert not disk_quota.has_no_room(place, inodes=2)
        assert disk_quota.has_no_room(place, inodes=3)
    finally:
        os.seteuid(0)
