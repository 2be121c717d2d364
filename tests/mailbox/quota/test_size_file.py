from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.codec.maildirsize import encode_come
from postvirt.mailbox.quota.size_file import OpenSizeFile
from postvirt.model.quota import Use
from tests.harness.child import open_descriptors

CONTENT = b"1000S\n\t300 2\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "maildir"
    (path / "tmp").mkdir(parents=True)
    return path


@pytest.fixture
def path(root: Path) -> Path:
    file = root / "maildirsize"
    file.write_bytes(CONTENT)
    return file


def opened(root: Path) -> OpenSizeFile:
    return OpenSizeFile(os.fsencode(root) + b"/")


def test_it_is_read_and_what_is_appended_is_added(root: Path, path: Path) -> None:
    before = open_descriptors()
    file = opened(root)
    file.look()
    assert file.content is not None
    assert file.content.use == Use(300, 2)
    with path.open("ab") as other:
        other.write(b"50 1\n")
    file.lock()
    assert file.content.use == Use(350, 3)
    file.close()
    assert open_descriptors() == before


def test_what_comes_has_one_line(root: Path, path: Path) -> None:
    """Which is changed where it is, whatever others append."""
    file = opened(root)
    file.lock()
    file.come(Use(50, 1))
    assert path.read_bytes() == CONTENT + encode_come(Use(50, 1), is_settled=False)
    file.settle()
    settled = CONTENT + encode_come(Use(50, 1), is_settled=True)
    assert path.read_bytes() == settled
    with path.open("ab") as other:
        other.write(b"-10 -1\n")
    file.close()
    file.lock()
    assert file.content is not None
    assert file.content.use == Use(340, 2)
    file.come(Use(7, 1))
    with path.open("ab") as other:
        other.write(b"-20 -1\n")
    file.settle()
    file.close()
    one_line = CONTENT + encode_come(Use(57, 2), is_settled=True)
    assert path.read_bytes() == one_line + b"-10 -1\n-20 -1\n"


def test_others_append_behind_what_is_being_appended(root: Path, path: Path) -> None:
    """The line goes to the end, wherever that was when the file was read."""
    file = opened(root)
    file.lock()
    with path.open("ab") as other:
        other.write(b"-10 -1\n")
    file.come(Use(50, 1))
    file.settle()
    file.close()
    line = encode_come(Use(50, 1), is_settled=True)
    assert path.read_bytes() == CONTENT + b"-10 -1\n" + line


def test_what_is_gone_again(root: Path, path: Path) -> None:
    file, other = opened(root), opened(root)
    file.lock()
    file.come(Use(50, 1))
    file.go(Use(50, 1))
    nothing = CONTENT + encode_come(Use(0, 0), is_settled=True)
    assert path.read_bytes() == nothing
    file.close()
    file.go(Use(50, 1))
    gone = CONTENT + encode_come(Use(-50, -1), is_settled=True)
    assert path.read_bytes() == gone
    file.close()
    other.lock()
    file.go(Use(50, 1))  # without the lock
    file.close()
    assert path.read_bytes() == gone + b"-50 -1\n"
    other.close()


def test_what_another_has_not_settled_stays_so(root: Path, path: Path) -> None:
    path.write_bytes(CONTENT + encode_come(Use(50, 1), is_settled=False))
    file = opened(root)
    file.go(Use(10, 1))
    file.close()
    assert path.read_bytes() == CONTENT + encode_come(Use(40, 0), is_settled=False)


def test_the_time_of_access_stays(root: Path, path: Path) -> None:
    """Although the file has changed since, which is when most file systems set it."""
    os.utime(path, (1000, 2000))
    file = opened(root)
    file.lock()
    file.close()
    assert path.stat().st_atime == 1000


def test_a_file_that_begins_differently_is_read_anew(root: Path, path: Path) -> None:
    file = opened(root)
    file.read()
    file.close()
    path.write_bytes(b"1000S\n\t500 2\n50 1\n")
    file.read()
    assert file.content is not None
    assert file.content.use == Use(550, 3)
    file.close()


def test_one_lock_at_a_time(root: Path, path: Path) -> None:
    one, other = opened(root), opened(root)
    one.lock()
    with pytest.raises(BlockingIOError):
        other.lock()
    assert not other.is_locked
    one.close()
    other.lock()
    assert other.is_locked
    other.close()


def test_without_a_file_the_directory_is_locked(root: Path) -> None:
    before = open_descriptors()
    one, other = opened(root), opened(root)
    one.lock()
    assert not one.is_there
    with pytest.raises(BlockingIOError):
        other.lock()
    one.close()
    other.lock()
    other.close()
    assert open_descriptors() == before


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOLCK, errno.EBADF])
def test_a_file_system_without_such_locks_does_without(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    file = opened(root)
    monkeypatch.setattr(fcntl, "flock", _failing(number))
    file.lock()
    assert file.is_locked
    file.close()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOTCONN, errno.ESTALE])
def test_a_server_that_does_not_answer_has_not_locked(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    file = opened(root)
    monkeypatch.setattr(fcntl, "flock", _failing(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        file.lock()
    assert not file.is_locked


def _failing(number: int) -> Callable[[int, int], None]:
    def fail(fd: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_the_file_that_is_locked_is_that_with_the_name(root: Path, path: Path) -> None:
    file = opened(root)
    file.read()
    new = root / "new-file"
    new.write_bytes(b"1000S\n\t700 7\n")
    new.rename(path)
    file.lock()
    assert file.content is not None
    assert file.content.use == Use(700, 7)
    file.come(Use(1, 1))
    file.close()
    line = encode_come(Use(1, 1), is_settled=False)
    assert path.read_bytes() == b"1000S\n\t700 7\n" + line


def test_a_file_that_is_replaced_again_and_again(
    root: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_descriptors()
    flock = fcntl.flock

    def replaced_meanwhile(fd: int, operation: int) -> None:
        (root / "other").write_bytes(CONTENT)
        (root / "other").rename(path)
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", replaced_meanwhile)
    with pytest.raises(BlockingIOError):
        opened(root).lock()
    assert open_descriptors() == before


def test_a_maildir_that_is_gone_is_not_locked(root: Path, path: Path) -> None:
    before = open_descriptors()
    file = opened(root)
    file.read()
    shutil.rmtree(root)
    with pytest.raises(FileNotFoundError):
        file.lock()
    assert not file.is_locked
    file.close()
    assert open_descriptors() == before


def test_replacing(root: Path, path: Path) -> None:
    file = opened(root)
    file.lock()
    file.replace(b"1000S\n\t800 8\n", b"host")
    assert not file.is_still_there()
    assert not file.has_grown()
    file.close()
    assert path.read_bytes() == b"1000S\n\t800 8\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list((root / "tmp").iterdir()) == []


def test_growth_behind_the_back_is_noticed(root: Path, path: Path) -> None:
    file = opened(root)
    file.lock()
    assert not file.has_grown()
    with path.open("ab") as other:
        other.write(b"50 1\n")
    assert file.has_grown()
    file.close()


def make_hard_link(path: Path) -> None:
    (path.parent / "other").write_bytes(CONTENT)
    path.hardlink_to(path.parent / "other")


def make_link(path: Path) -> None:
    (path.parent / "other").write_bytes(CONTENT)
    path.symlink_to(path.parent / "other")


@pytest.mark.parametrize("make", [make_link, make_hard_link, os.mkfifo])
def test_what_is_no_plain_file_is_not_read_but_replaced(root: Path, make) -> None:
    path = root / "maildirsize"
    make(path)
    before = open_descriptors()
    file = opened(root)
    file.lock()
    assert file.content is None
    assert not file.is_there
    assert file.is_still_there()
    file.replace(b"1000S\n\t1 1\n", b"host")
    file.close()
    assert path.read_bytes() == b"1000S\n\t1 1\n"
    assert not path.is_symlink()
    if (root / "other").exists():
        assert (root / "other").read_bytes() == CONTENT
    assert open_descriptors() == before


def test_a_directory_cannot_be_replaced(root: Path) -> None:
    (root / "maildirsize").mkdir()
    file = opened(root)
    file.lock()
    with pytest.raises(OSError, match="directory"):
        file.replace(CONTENT, b"host")
    file.close()
    assert list((root / "tmp").iterdir()) == []
