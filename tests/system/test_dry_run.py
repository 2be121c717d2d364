"""What an attempt would say is what it then says."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from postvirt.system import dry_run


def number_of(attempt: Callable[[], object]) -> int:
    try:
        attempt()
    except OSError as error:
        return error.errno or -1
    return 0


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "nowhere").symlink_to("missing/still")
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


NAMES = (
    "new",
    "file",
    "file/new",
    "directory",
    "directory/new",
    "missing/new",
    "nowhere",
    "nowhere/new",
    "loop/new",
    "x" * 300,
)


@pytest.mark.parametrize("name", NAMES)
def test_create(place: Path, name: str) -> None:
    path = place / name
    asked = number_of(lambda: dry_run.check_create(bytes(path)))
    assert asked == number_of(lambda: os.open(path, os.O_CREAT | os.O_EXCL))


@pytest.mark.parametrize("name", NAMES)
def test_make_directories(place: Path, name: str) -> None:
    made: set[bytes] = set()
    path = bytes(place / name)
    asked = number_of(lambda: dry_run.check_make_directories(path, made))
    before = {bytes(one) for one in place.rglob("*")}

    def make() -> None:
        if not os.path.isdir(path):
            os.makedirs(path)

    assert bool(asked) == bool(number_of(make))
    if not asked:
        assert made == {bytes(one) for one in place.rglob("*")} - before


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o700, 0o500, 0o600, 0o300, 0o1777, 0o1755])
@pytest.mark.parametrize("name", ["file", "directory", "gone"])
def test_unlink_and_create_as_somebody_else(
    place: Path, mode: int, name: str, request: pytest.FixtureRequest
) -> None:
    for path in (place / "file", place / "directory"):
        os.chown(path, 4999, 4999)
    for above in (place, *place.parents[:2]):
        request.addfinalizer(partial(above.chmod, 0o755))
        above.chmod(0o755)
    place.chmod(mode)
    os.chown(place, 5000 if mode < 0o1000 else 0, 5000)
    old = bytes(place / name)
    new = bytes(place / "new")
    try:
        os.seteuid(5000)
        asked = number_of(lambda: dry_run.check_unlink(old))
        assert asked == number_of(lambda: os.unlink(old))
        asked = number_of(lambda: dry_run.check_create(new))
        assert asked == number_of(lambda: os.open(new, os.O_CREAT | os.O_EXCL))
    finally:
        os.seteuid(0)


@pytest.mark.root
def test_what_is_immutable(place: Path) -> None:
    path = place / "file"
    if subprocess.run(
        ["chattr", "+i", path], check=False, capture_output=True
    ).returncode:
        pytest.skip("this file system has no such attribute")
    try:
        asked = number_of(lambda: dry_run.check_unlink(bytes(path)))
        assert asked == number_of(path.unlink)
        assert asked != 0
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


def test_write(place: Path) -> None:
    path = place / "file"
    path.write_bytes(b"x" * 100)
    big = os.statvfs(place).f_blocks * os.statvfs(place).f_frsize + 1
    assert number_of(lambda: dry_run.check_write(bytes(path), 100, 10, 0)) == 0
    assert number_of(lambda: dry_run.check_write(bytes(path), 100, 10, 110)) == 0
    for size, limit, name in ((11, 110, errno.EFBIG), (big, 0, errno.ENOSPC)):
        asked = number_of(partial(dry_run.check_write, bytes(path), 100, size, limit))
        assert asked == name


def test_move(place: Path) -> None:
    """Whatever is there stays where it is."""
    (place / "directory" / "file").touch()
    (place / "other").mkdir()
    before = sorted(place.rglob("*"))
    old = bytes(place / "directory")
    for name in ("other", "directory", "missing", "file"):
        dry_run.check_move(old, bytes(place / name))
    assert number_of(lambda: dry_run.check_move(old, b"/proc")) == errno.EXDEV
    assert sorted(place.rglob("*")) == before
