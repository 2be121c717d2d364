from __future__ import annotations

import os
import resource
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postvirt.system.limits import limit_file_size
from postvirt.system.log_file import append, open_log_file
from postvirt.system.unsafe_file import UnsafeFileError
from tests.harness.child import (
    MAIL_OWNER,
    STRANGER,
    give,
    in_child,
    public_directory,
)


@pytest.fixture
def place() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory


def write(path: Path, data: bytes = b"a\n") -> None:
    fd = open_log_file(str(path), MAIL_OWNER)
    try:
        assert append(fd, data) == len(data)
    finally:
        os.close(fd)


def test_a_file_is_made_for_the_mail_system_to_read(place: Path) -> None:
    before = os.umask(0o077)
    write(place / "log")
    os.umask(before)
    status = (place / "log").stat()
    assert stat.S_IMODE(status.st_mode) == 0o640
    if os.getuid() == 0:
        assert (status.st_uid, status.st_gid) == (0, MAIL_OWNER.gid)


def test_a_file_that_is_there_is_appended_to_and_stays_as_it_is(place: Path) -> None:
    (place / "log").write_bytes(b"before\n")
    (place / "log").chmod(0o600)
    write(place / "log")
    assert (place / "log").read_bytes() == b"before\na\n"
    assert stat.S_IMODE((place / "log").stat().st_mode) == 0o600


@pytest.mark.root
def test_the_mail_owner_s_own_file_and_directory_will_do(place: Path) -> None:
    give(place, MAIL_OWNER)
    (place / "log").write_bytes(b"")
    give(place / "log", MAIL_OWNER)
    write(place / "log")


def test_links_on_the_way_are_followed(place: Path) -> None:
    (place / "real").mkdir()
    (place / "link").symlink_to("real")
    write(place / "link" / "log")
    assert (place / "real" / "log").exists()


def _link(path: Path) -> None:
    (path.parent / "precious").write_text("")
    path.symlink_to("precious")


def _dangling_link(path: Path) -> None:
    path.symlink_to("missing")


def _hard_link(path: Path) -> None:
    (path.parent / "precious").write_text("")
    path.hardlink_to(path.parent / "precious")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _strangers(path: Path) -> None:
    path.write_text("")
    give(path, STRANGER)


def _directory_for_all(path: Path) -> None:
    path.parent.chmod(0o777)


def _strangers_directory(path: Path) -> None:
    give(path.parent, STRANGER)


def _no_directory(path: Path) -> None:
    path.parent.rmdir()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_link, "it is a symbolic link"),
        (_dangling_link, "it is a symbolic link"),
        (_hard_link, "it has 2 hard links"),
        (_pipe, "No such device or address"),
        (Path.mkdir, "Is a directory"),
        pytest.param(_strangers, "uid 6000 owns it", marks=pytest.mark.root),
        (_directory_for_all, "untrusted users can change directory {}"),
        pytest.param(
            _strangers_directory,
            "untrusted users can change directory {}",
            marks=pytest.mark.root,
        ),
        (_no_directory, "here: No such file or directory"),
    ],
)
def test_what_is_refused(place: Path, make: Callable[[Path], object], why: str) -> None:
    directory = place / "here"
    directory.mkdir()
    make(directory / "log")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UnsafeFileError) as refusal:
        open_log_file(str(directory / "log"), MAIL_OWNER)
    assert why.format(directory) in refusal.value.reason
    assert len(os.listdir("/proc/self/fd")) == before
    if (directory / "precious").exists():
        assert (directory / "precious").read_bytes() == b""


def test_the_limit_for_mailboxes_is_not_for_log_files(place: Path) -> None:
    def work() -> tuple[int, int]:
        limit_file_size(10)
        fd = open_log_file(str(place / "log"), MAIL_OWNER)
        for _ in range(3):
            assert append(fd, b"12345678\n") == 9
        with pytest.raises(OSError, match="File too large"):
            os.write(fd, b"a")
        return resource.getrlimit(resource.RLIMIT_FSIZE)

    assert in_child(work)[0] == 10
    assert (place / "log").stat().st_size == 27
