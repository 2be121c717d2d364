from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.mailbox import subscriptions
from postvirt.mailbox.subscriptions import subscribe
from postvirt.system.privileges import acting_as
from tests.harness.child import (
    Log,
    as_mail_system,
    give,
    in_child,
    recipient,
    tree,
)

NEW = b"V\t2\n\nWork\n"


def change(maildir: Path, directory: bytes = b".Work") -> bool:
    """Subscribe; whether a file has changed."""
    before = os.listdir("/proc/self/fd")
    fd = subscribe(os.fsencode(maildir) + b"/", directory)
    if fd >= 0:
        assert not os.get_inheritable(fd)
        os.close(fd)
    assert os.listdir("/proc/self/fd") == before
    return fd >= 0


def test_a_maildir_without_subscriptions_receives_dovecots(tmp_path):
    assert change(tmp_path)
    path = tmp_path / "subscriptions"
    assert path.read_bytes() == NEW
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["subscriptions"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", NEW),
        (b"V\t2\n\n", NEW),
        (b"V\t2\n\nWork\tSub\n", b"V\t2\n\nWork\tSub\nWork\n"),
        (b"Sent\n", b"Sent\nWork\n"),  # Dovecot's before version 2.3
        (b"Sent", b"Sent\nWork\n"),
        (b"Worker\n", b"Worker\nWork\n"),
        (b"\xff\x00\n", b"\xff\x00\nWork\n"),
    ],
)
def test_a_line_is_added(tmp_path, before, after):
    path = tmp_path / "subscriptions"
    path.write_bytes(before)
    path.chmod(0o664)
    number = path.stat().st_ino
    assert change(tmp_path)
    assert path.read_bytes() == after
    assert (path.stat().st_ino, stat.S_IMODE(path.stat().st_mode)) == (number, 0o664)
    assert not change(tmp_path)
    assert path.read_bytes() == after
    assert os.listdir(tmp_path) == ["subscriptions"]


def test_couriers_file_has_its_own_names(tmp_path):
    path = tmp_path / "courierimapsubscribed"
    path.write_bytes(b"INBOX.Sent\n")
    for _ in range(2):
        change(tmp_path)
        assert path.read_bytes() == b"INBOX.Sent\nINBOX.Work\n"
    assert os.listdir(tmp_path) == ["courierimapsubscribed"]


def test_both_files_are_kept_where_there_are_both(tmp_path):
    for name in ("courierimapsubscribed", "subscriptions"):
        (tmp_path / name).write_bytes(b"")
    assert change(tmp_path)
    assert (tmp_path / "courierimapsubscribed").read_bytes() == b"INBOX.Work\n"
    assert (tmp_path / "subscriptions").read_bytes() == NEW


def test_a_file_that_another_program_changes_is_left_alone(tmp_path, monkeypatch):
    """As long as Dovecot itself would wait."""
    lock = tmp_path / "subscriptions.lock"
    lock.write_bytes(b"")
    with pytest.raises(FileExistsError):
        change(tmp_path)
    assert os.listdir(tmp_path) == [lock.name]
    monkeypatch.setattr(subscriptions, "_STALE_SECONDS", -1)
    assert change(tmp_path)
    assert os.listdir(tmp_path) == ["subscriptions"]


def link(path: Path) -> None:
    (path.parent / "other").write_bytes(b"other")
    path.symlink_to("other")


def hard_link(path: Path) -> None:
    path.write_bytes(b"other")
    path.with_name("other").hardlink_to(path)


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2_000_001)


OBSTACLES: dict[str, Callable[[Path], object]] = {
    "link": link,
    "link to nowhere": lambda path: path.symlink_to("nowhere"),
    "hard link": hard_link,
    "directory": Path.mkdir,
    "FIFO": os.mkfifo,
    "large": large,
}


@pytest.mark.parametrize("name", ["subscriptions", "courierimapsubscribed"])
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_is_no_list_is_left_alone(ground, obstacle, name):
    """It waits for nothing, either: a test has a time limit."""
    give(ground, recipient())
    path = ground / name

    def work(_: Log) -> None:
        with acting_as(recipient()):
            OBSTACLES[obstacle](path)
            before = tree(ground)
            with pytest.raises(OSError):  # noqa: PT011 - of any kind
                change(ground)
            assert tree(ground) == before

    as_mail_system(work)


def test_half_a_line_is_taken_back(tmp_path):
    import resource

    path = tmp_path / "subscriptions"
    path.write_bytes(b"V\t2\n\n" + b"x" * 994 + b"\n")
    before = path.read_bytes()

    def work() -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1002, 1002))
        try:
            change(tmp_path)
        except OSError as error:
            return str(error.strerror)
        return ""

    assert in_child(work) == "No space left on device"
    assert path.read_bytes() == before
