from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from postvirt.mailbox.quota.counting import Count, is_quiet
from postvirt.model.quota import QuotaRules, Use
from tests.harness.maildir_usage import calm

ALL = QuotaRules(trash=b"")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A maildir without messages."""
    path = tmp_path / "maildir"
    for name in ("tmp", "new", "cur"):
        (path / name).mkdir(parents=True)
    return path


def folder(root: Path, name: str) -> Path:
    for place in ("tmp", "new", "cur"):
        (root / name / place).mkdir(parents=True)
    return root / name


def message(place: Path, name: str, size: int) -> None:
    (place / name).write_bytes(b"x" * size)


def counted(root: Path, rules: QuotaRules = ALL) -> Use:
    count = Count(os.fsencode(root) + b"/", rules)
    while not count.is_over:
        count.go_on()
    return count.use


def test_an_empty_maildir(root: Path) -> None:
    assert counted(root) == Use(0, 0)


def test_messages_in_new_and_cur_and_in_folders_count(root: Path) -> None:
    message(root / "new", "1.a", 1)
    message(root / "cur", "2.a:2,S", 20)
    message(root / "tmp", "3.a", 300)
    for name in (".Sent", ".Sent.2026", ".&AOk-"):
        message(folder(root, name) / "cur", "4.a:2,", 4000)
    message(folder(root, "Sent") / "cur", "5.a:2,", 50_000)
    (root / ".file").write_bytes(b"x")
    assert counted(root) == Use(12_021, 5)


def test_the_size_in_the_name_is_believed(root: Path) -> None:
    message(root / "new", "1.a,S=2048", 1)
    message(root / "cur", "2.a,S=10,W=11:2,S", 1)
    message(root / "cur", "3.a,S=x:2,S", 5)
    assert counted(root) == Use(2063, 3)


def test_what_is_no_message_does_not_count(root: Path) -> None:
    message(root / "cur", ".hidden", 1)
    (root / "cur" / "directory").mkdir()
    message(root.parent, "outside", 100)
    (root / "cur" / "link").symlink_to(root.parent / "outside")
    os.mkfifo(root / "cur" / "fifo")
    elsewhere = folder(root.parent, "elsewhere")
    message(elsewhere / "new", "1.a", 1000)
    (root / ".link").symlink_to(elsewhere)
    assert counted(root) == Use(0, 0)


def test_only_the_inbox(root: Path) -> None:
    message(root / "new", "1.a", 1)
    message(folder(root, ".Sent") / "new", "2.a", 10)
    assert counted(root, ALL._replace(inbox_only=True)) == Use(1, 1)


def test_the_trash_folder_and_nothing_else_can_be_left_out(root: Path) -> None:
    for number, name in enumerate((".Trash", ".Trash.old", ".trash")):
        message(folder(root, name) / "cur", "1.a", 10**number)
    message(root / "cur", "2.a:2,ST", 1000)
    assert counted(root) == Use(1111, 4)
    assert counted(root, ALL._replace(trash=b".Trash")) == Use(1110, 3)


def test_messages_marked_as_deleted_can_be_left_out(root: Path) -> None:
    message(root / "cur", "1.a:2,S", 1)
    message(root / "cur", "2.a:2,ST", 10)
    assert counted(root, ALL._replace(counts_deleted=False)) == Use(1, 1)


@pytest.mark.parametrize("name", ["new", "cur"])
def test_a_part_that_is_missing_is_empty(root: Path, name: str) -> None:
    (root / name).rmdir()
    message(root / ({"new", "cur"} - {name}).pop(), "1.a", 7)
    (root / ".Odd").mkdir()
    assert counted(root) == Use(7, 1)


def test_slices_are_short_and_the_sum_is_the_same(root: Path) -> None:
    for number in range(1000):
        message(root / "cur", f"{number}.a,S=10:2,", 0)
    count = Count(os.fsencode(root) + b"/", ALL)
    slices = 0
    while not count.is_over:
        before = count.use.messages
        count.go_on(0.0)
        assert count.use.messages - before <= 64
        slices += 1
    assert count.use == Use(10_000, 1000)
    assert slices > 10


def test_other_files_in_the_maildir_make_no_slice_longer(root: Path) -> None:
    for number in range(1000):
        message(root, f"{number}", 0)
    count = Count(os.fsencode(root) + b"/", ALL)
    slices = 0
    while not count.is_over:
        count.go_on(0.0)
        slices += 1
    assert slices > 2 * 1000 // 64


@pytest.mark.parametrize("names", ["{}", ".{}"])
def test_a_maildir_with_very_many_names_is_not_quiet(root: Path, names: str) -> None:
    """To see whether it is would take long."""
    for number in range(500):
        (root / names.format(number)).mkdir()
    calm(root)
    path = os.fsencode(root) + b"/"
    assert is_quiet(path, ALL)
    for number in range(500, 2100):
        (root / names.format(number)).mkdir()
    assert not is_quiet(path, ALL)


@pytest.mark.parametrize("place", ["new", "cur", ".Sent/cur"])
def test_a_change_meanwhile_is_noticed(root: Path, place: str) -> None:
    folder(root, ".Sent")
    count = Count(os.fsencode(root) + b"/", ALL)
    count.go_on(1.0)
    assert count.is_stable
    count = Count(os.fsencode(root) + b"/", ALL)
    assert next(count._steps) is True  # it has begun
    message(root / place, "1.a", 1)
    os.utime(root / place, ns=(2**62, 2**62))
    while not count.is_over:
        count.go_on()
    assert not count.is_stable or count.use == Use(1, 1)
    assert not count.is_quiet


def test_so_is_a_message_that_moves(root: Path) -> None:
    """It has been counted twice."""
    message(root / "new", "1.a", 1)
    calm(root)
    count = Count(os.fsencode(root) + b"/", ALL)
    next(count._steps)
    next(count._steps)
    assert count.use == Use(1, 1)
    (root / "new" / "1.a").rename(root / "cur" / "1.a:2,")
    now = time.time_ns()
    for place in ("new", "cur"):
        os.utime(root / place, ns=(now, now))
    count.go_on(1.0)
    assert count.use == Use(2, 2)
    assert not count.is_stable


@pytest.mark.parametrize("place", ["new", "cur", ".Sent/cur"])
def test_and_one_shortly_before(root: Path, place: str) -> None:
    """Its line may still be missing in maildirsize."""
    folder(root, ".Sent")
    calm(root)
    path = os.fsencode(root) + b"/"
    assert is_quiet(path, ALL)
    count = Count(path, ALL)
    count.go_on(1.0)
    assert count.is_quiet
    message(root / place, "1.a", 1)
    assert not is_quiet(path, ALL)
    count = Count(path, ALL)
    count.go_on(1.0)
    assert (count.is_stable, count.is_quiet) == (True, False)


def test_memory_is_bounded(root: Path) -> None:
    """Whatever the number of messages and folders."""
    for number in range(300):
        folder(root, f".{number}")

    def peak(messages: int) -> int:
        for number in range(messages):
            (root / "cur" / f"{number}.a,S=10:2,").touch()
        tracemalloc.start()
        try:
            assert counted(root).messages == messages
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few = peak(10)
    assert peak(3000) < few + 20_000
