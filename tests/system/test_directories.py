from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from postvirt.model.mailbox import Owner
from postvirt.system import directories, locks
from postvirt.system.directories import make_directories, open_directory
from postvirt.system.privileges import acting_as
from tests.harness import genuine_files
from tests.harness.child import (
    RECIPIENT,
    STRANGER,
    Log,
    as_mail_system,
    as_virtual_does,
    give,
    open_descriptors,
    tree,
)


def made(path: Path | str, mode: int = 0o700) -> list[str]:
    return [os.fsdecode(new) for new in make_directories(os.fsencode(path), mode)]


def test_everything_that_is_missing_is_made_and_named_from_the_top(
    ground: Path,
) -> None:
    (ground / "a").mkdir()
    expected = [f"{ground}/a/b", f"{ground}/a/b/c"]
    assert made(ground / "a" / "b" / "c") == expected
    assert made(ground / "a" / "b" / "c") == []
    assert (ground / "a" / "b" / "c").is_dir()


@pytest.mark.parametrize("path", ["a/b/", "a//b", "a/b//", "./a/b", "a/./b/"])
def test_any_spelling_of_a_path_makes_each_directory_once(
    ground: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(ground)
    assert len(made(path)) == 2
    assert [str(p.relative_to(ground)) for p in sorted(ground.rglob("*"))] == [
        "a",
        "a/b",
    ]


@pytest.mark.parametrize("path", ["", "/", "//"])
def test_nothing_is_made_for_no_name(path: str) -> None:
    assert made(path) == []


@pytest.fixture
def fuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is on a file system that may be that of other machines."""
    monkeypatch.setattr(directories, "is_on_fuse", lambda _: True)


@pytest.mark.usefixtures("fuse")
def test_another_host_makes_a_directory_before_or_after_but_not_meanwhile(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    are_locked = []
    mkdir = os.mkdir

    def look(path: bytes, mode: int) -> None:
        are_locked.append(os.path.lexists(path + b".lock"))
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", look)
    assert made(ground / "a" / "b") == [f"{ground}/a", f"{ground}/a/b"]
    assert are_locked == [True, True]
    assert [path.name for path in sorted(ground.rglob("*"))] == ["a", "b"]


@pytest.mark.usefixtures("fuse")
def test_a_directory_that_another_host_makes_is_waited_for(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = ground / "a.lock"
    lock.touch()
    monkeypatch.setattr("time.sleep", lambda _: (ground / "a").mkdir())
    assert made(ground / "a") == []
    assert lock.exists()


@pytest.mark.usefixtures("fuse")
def test_a_directory_that_another_host_has_just_made_is_not_made(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was missing before the lock was taken."""
    take = locks.try_dot_lock

    def lose(path: bytes) -> int:
        os.mkdir(path)
        return take(path)

    monkeypatch.setattr(locks, "try_dot_lock", lose)
    monkeypatch.delattr(directories, "_make")
    assert made(ground / "a") == []
    assert os.listdir(ground) == ["a"]


@pytest.mark.usefixtures("fuse")
def test_a_host_that_died_while_it_made_a_directory_is_not_waited_for_for_ever(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = ground / "a.lock"
    lock.touch()
    monkeypatch.setattr("time.sleep", lambda _: None)
    for seconds, is_there in ((30, True), (31, False)):
        now = int(lock.stat().st_ctime) + seconds
        monkeypatch.setattr("time.time", lambda now=now: now)
        with pytest.raises(BlockingIOError):
            made(ground / "a")
        assert lock.exists() == is_there
    assert made(ground / "a") == [f"{ground}/a"]


@pytest.mark.usefixtures("fuse")
def test_the_lock_goes_when_a_directory_cannot_be_made(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: bytes, mode: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(OSError, match="quota"):
        made(ground / "a")
    assert os.listdir(ground) == []


@pytest.mark.usefixtures("fuse")
def test_no_directory_is_made_while_the_server_of_locks_fails(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: bytes) -> int:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    monkeypatch.setattr(locks, "try_dot_lock", fail)
    with pytest.raises(OSError, match="not connected"):
        made(ground / "a")
    assert os.listdir(ground) == []


@pytest.mark.usefixtures("fuse")
def test_a_directory_is_made_where_no_lock_can_be(ground: Path) -> None:
    name = "a" * 255
    assert made(ground / name) == [f"{ground}/{name}"]
    assert os.listdir(ground) == [name]


def test_the_mode_is_the_callers(ground: Path) -> None:
    before = os.umask(0)
    try:
        made(ground / "a" / "b", 0o710)
    finally:
        os.umask(before)
    assert stat.S_IMODE((ground / "a").stat().st_mode) == 0o710
    assert stat.S_IMODE((ground / "a" / "b").stat().st_mode) == 0o710


def test_a_file_in_the_way_is_an_error(ground: Path) -> None:
    (ground / "a").write_bytes(b"file")
    with pytest.raises(NotADirectoryError):
        made(ground / "a")
    with pytest.raises(NotADirectoryError):
        made(ground / "a" / "b")
    assert (ground / "a").read_bytes() == b"file"


def test_somebody_elses_directory_that_appears_first_is_as_good(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir

    def slow(path: bytes, mode: int) -> None:
        real(path, 0o750)
        real(path, mode)

    monkeypatch.setattr(os, "mkdir", slow)
    assert made(ground / "a") == []
    assert (ground / "a").is_dir()


def test_a_file_that_appears_first_is_an_error(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir

    def slow(path: bytes, mode: int) -> None:
        Path(os.fsdecode(path)).touch()
        real(path, mode)

    monkeypatch.setattr(os, "mkdir", slow)
    with pytest.raises(NotADirectoryError):
        made(ground / "a")


def plain(home: Path) -> Path:
    return home / "a" / "b"


def below_set_gid(home: Path) -> Path:
    os.chown(home, RECIPIENT.uid, STRANGER.gid)
    home.chmod(0o2755)
    return home / "a" / "b"


def below_file(home: Path) -> Path:
    (home / "a").touch()
    return home / "a" / "b"


def in_place_of_file(home: Path) -> Path:
    (home / "a").touch()
    return home / "a"


def through_symlink(home: Path) -> Path:
    (home / "real").mkdir()
    give(home / "real", RECIPIENT)
    (home / "a").symlink_to("real")
    return home / "a" / "b"


def through_symlink_to_strangers(home: Path) -> Path:
    theirs = home.parent / "theirs"
    theirs.mkdir(mode=0o755)
    give(theirs, STRANGER)
    (home / "a").symlink_to(theirs)
    return home / "a" / "b"


def through_symlink_to_secret(home: Path) -> Path:
    theirs = home.parent / "theirs"
    theirs.mkdir(mode=0o700)
    give(theirs, STRANGER)
    (home / "a").symlink_to(theirs / "new")
    return home / "a" / "b"


def through_dangling_symlink(home: Path) -> Path:
    (home / "a").symlink_to("missing")
    return home / "a" / "b"


def in_roots_directory(home: Path) -> Path:
    return home.parent / "a"


def below_closed_directory(home: Path) -> Path:
    (home / "closed").mkdir(mode=0o000)
    give(home / "closed", RECIPIENT)
    return home / "closed" / "a"


PLACES: dict[Callable[[Path], Path], str] = {
    plain: "",
    below_set_gid: "",
    through_symlink: "",
    below_file: "Not a directory",
    in_place_of_file: "Not a directory",
    through_symlink_to_strangers: "Permission denied",
    through_symlink_to_secret: "Permission denied",
    through_dangling_symlink: "No such file or directory",
    in_roots_directory: "Permission denied",
    below_closed_directory: "Permission denied",
}


def result_for_recipient(
    ground: Path, place: Callable[[Path], Path], make: Callable[[bytes, int], str]
) -> tuple[str, dict[str, tuple[int, int, int, bytes]]]:
    home = ground / "home"
    home.mkdir(mode=0o755)
    give(home, RECIPIENT)
    path = place(home)

    def work(_: Log) -> str:
        with acting_as(RECIPIENT):
            return make(os.fsencode(path), 0o700)

    trouble = as_mail_system(work)
    return trouble, {
        name: value
        for name, value in tree(ground).items()
        if not name.endswith(("real", "theirs"))
    }


def ours(path: bytes, mode: int) -> str:
    try:
        make_directories(path, mode)
    except OSError as error:
        return os.strerror(error.errno or 0)
    return ""


def genuine(path: bytes, mode: int) -> str:
    with as_virtual_does(RECIPIENT):
        number = genuine_files.make_dirs(path, mode)
    return os.strerror(number) if number else ""


@pytest.mark.root
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_what_a_recipient_may_put_in_the_way(
    ground: Path, place: Callable[[Path], Path]
) -> None:
    trouble, after = result_for_recipient(ground, place, ours)
    assert trouble == PLACES[place]
    if not trouble:
        for name in after:
            if name.endswith("/b"):
                mode, uid, gid, _ = after[name]
                assert Owner(uid, gid) == RECIPIENT
                assert mode & 0o777 == 0o700


@pytest.mark.postfix
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_the_genuine_function_does_the_same(
    ground: Path, place: Callable[[Path], Path]
) -> None:
    (ground / "1").mkdir()
    (ground / "2").mkdir()
    expected = result_for_recipient(ground / "1", place, genuine)
    actual = result_for_recipient(ground / "2", place, ours)
    first, second = os.fsencode(ground / "1"), os.fsencode(ground / "2")
    paths = {
        name: (*value[:3], value[3].replace(second, first))
        for name, value in actual[1].items()
    }
    assert (actual[0], paths) == expected


def test_an_open_directory_is_that_directory_and_stays_in_this_process(
    ground: Path,
) -> None:
    directory = open_directory(os.fsencode(ground))
    assert directory is not None
    fd = directory.fd
    assert (directory.device, directory.inode) == (
        ground.stat().st_dev,
        ground.stat().st_ino,
    )
    assert os.path.samestat(os.fstat(fd), ground.stat())
    assert not os.get_inheritable(fd)
    os.fsync(fd)
    os.close(fd)


def test_a_directory_that_cannot_be_examined_is_closed_again(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    before = open_descriptors()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", refuse)
        with pytest.raises(OSError, match="Stale"):
            open_directory(os.fsencode(ground))
    assert open_descriptors() == before


def test_what_is_no_directory_is_not_opened(ground: Path) -> None:
    (ground / "file").touch()
    with pytest.raises(NotADirectoryError):
        open_directory(os.fsencode(ground / "file"))
    with pytest.raises(FileNotFoundError):
        open_directory(os.fsencode(ground / "missing"))


@pytest.mark.root
def test_a_directory_that_its_owner_cannot_read_cannot_be_synced_alone(
    ground: Path,
) -> None:
    ground.chmod(0o300)
    give(ground, RECIPIENT)

    def work(_: Log) -> object:
        with acting_as(RECIPIENT):
            (ground / "file").touch()
            return open_directory(os.fsencode(ground))

    assert as_mail_system(work) is None
