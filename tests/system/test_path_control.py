"""Who controls where a path leads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.system.path_control import Link, Way, may_others_write, way_to
from tests.harness.child import in_child

EVIL = 5001


def way(path: Path | str) -> Way:
    return way_to(os.fsencode(path))


def loose(path: Path | str) -> str:
    return os.fsdecode(way(path).loose)


def test_a_path_of_ones_own(ground: Path) -> None:
    """What does not exist is as safe as the directory that it would be in."""
    (ground / "a").mkdir()
    assert way(ground / "a").is_roots
    assert way(ground / "a/b/c") == Way(
        os.fsencode(ground / "a/b/c"), os.fsencode(ground / "a")
    )
    (ground / "file").touch()
    assert way(ground / "file/below").nearest == os.fsencode(ground / "file")
    assert way(f"{ground}//a/./../a/").path == os.fsencode(ground / "a")
    assert way("/").is_roots


def test_a_path_that_is_not_absolute(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ground)
    assert way("a/b").path == os.fsencode(ground / "a/b")


@pytest.mark.root
@pytest.mark.parametrize(
    ("owner", "group", "mode", "is_loose"),
    [
        (0, 0, 0o755, False),
        (0, 0, 0o775, True),
        (0, 5000, 0o755, False),
        (0, 5000, 0o775, True),
        (0, 0, 0o757, True),
        (0, 0, 0o1777, False),  # the file is root's
        (EVIL, 0, 0o700, True),
        (EVIL, 0, 0o1777, True),
    ],
)
def test_a_directory(
    ground: Path, owner: int, group: int, mode: int, is_loose: bool
) -> None:
    directory = ground / "directory"
    (directory / "below/deep").mkdir(parents=True)
    os.chown(directory, owner, group)
    directory.chmod(mode)
    assert loose(directory) == ""  # its own name is safe
    for path in (directory / "below", directory / "below/deep/none"):
        assert loose(path) == (str(directory) if is_loose else "")
    if mode & 0o1000 == 0:
        assert may_others_write(directory.stat()) == is_loose


@pytest.mark.root
def test_a_sticky_directory_protects_only_names_of_root(ground: Path) -> None:
    ground.chmod(0o1777)
    assert loose(ground / "missing") == str(ground)
    (ground / "evil's").touch()
    os.chown(ground / "evil's", EVIL, EVIL)
    assert loose(ground / "evil's") == str(ground)


@pytest.mark.root
def test_links_of_root_are_followed(ground: Path) -> None:
    (ground / "target/below").mkdir(parents=True)
    (ground / "relative").symlink_to("target/../target")
    (ground / "absolute").symlink_to(ground / "relative")
    (ground / "dangling").symlink_to("none/x")
    below = os.fsencode(ground / "target/below")
    assert way(ground / "absolute/below") == Way(below, below)
    assert way(ground / "dangling/y").path == os.fsencode(ground / "none/x/y")
    os.chown(ground / "target", EVIL, EVIL)
    assert loose(ground / "absolute/below") == str(ground / "target")


@pytest.mark.root
def test_links_of_others_are_not_followed(ground: Path) -> None:
    link = ground / "link"
    link.symlink_to("/etc")
    os.lchown(link, EVIL, EVIL)
    found = Link(os.fsencode(link), EVIL, b"/etc")
    assert way(link).link == found
    assert way(link / "passwd").link == found
    assert way(link / "passwd").path == os.fsencode(link / "passwd")
    os.lchown(link, 0, 0)
    assert way(link).is_roots
    os.chown(ground, EVIL, EVIL)  # who could have put root's link there
    assert way(link).link == Link(os.fsencode(link), 0, b"/etc")


def test_links_without_end(ground: Path) -> None:
    (ground / "one").symlink_to("two")
    (ground / "two").symlink_to("one")
    assert way(ground / "one").link is not None


@pytest.mark.root
def test_what_cannot_be_seen_counts_as_others(ground: Path) -> None:
    (ground / "closed/below").mkdir(parents=True)
    (ground / "closed").chmod(0o700)

    def look() -> str:
        os.seteuid(EVIL)
        return loose(ground / "closed/below")

    assert in_child(look) == str(ground / "closed")
    assert not way(f"{ground}/a\0b").is_roots
    assert not way(ground / ("x" * 300)).is_roots


@pytest.mark.root
def test_access_lists_count(ground: Path, give: Callable[..., None]) -> None:
    directory = ground / "directory"
    (directory / "below").mkdir(parents=True)
    give(directory, EVIL)
    assert loose(directory / "below") == str(directory)


@pytest.fixture
def give() -> Callable[..., None]:
    """An entry of an access control list that lets a user write."""

    def add(path: Path, uid: int) -> None:
        entries = (
            (0x01, 7, 0xFFFFFFFF),
            (0x02, 7, uid),
            (0x04, 5, 0xFFFFFFFF),
            (0x10, 7, 0xFFFFFFFF),
            (0x20, 5, 0xFFFFFFFF),
        )
        packed = b"".join(
            tag.to_bytes(2, "little")
            + permissions.to_bytes(2, "little")
            + number.to_bytes(4, "little")
            for tag, permissions, number in entries
        )
        try:
            os.setxattr(
                path, "system.posix_acl_access", (2).to_bytes(4, "little") + packed
            )
        except OSError as error:
            pytest.skip(f"no access control lists: {error}")

    return add


def test_a_working_directory_that_is_gone(ground: Path) -> None:
    """Whoever checks an absolute path need not be anywhere."""

    def look() -> bool:
        gone = ground / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
        return way(ground).is_roots

    assert in_child(look)
