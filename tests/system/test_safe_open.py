from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from postvirt.system.privileges import acting_as
from postvirt.system.safe_open import open_or_create
from postvirt.system.unsafe_file import UnsafeFileError
from tests.harness import genuine_files
from tests.harness.child import (
    RECIPIENT,
    STRANGER,
    Log,
    as_mail_system,
    give,
    in_child,
    open_descriptors,
    tree,
)

FLAGS = os.O_WRONLY | os.O_APPEND
ROOT_SECRET = b"root's own\n"

Prepare = Callable[[Path], None]


class Scene:
    """A directory of the recipient's, one of root's, and files that are not theirs.

    path   the name that is opened
    """

    def __init__(self, ground: Path) -> None:
        self.ground = ground
        self.home = ground / "home"
        self.home.mkdir(mode=0o755)
        self.path = self.home / "mbox"
        self.others = ground / "others"
        self.others.mkdir(mode=0o755)
        self.victim = self.others / "victim"
        self.victim.write_bytes(ROOT_SECRET)
        self.victim.chmod(0o666)  # the kernel alone would allow the write

    def finish(self) -> None:
        """Give everything in the directory that is still root's to the recipient."""
        give(self.home, RECIPIENT)


def regular(scene: Scene) -> None:
    scene.path.write_bytes(b"old\n")
    give(scene.path, RECIPIENT)


def read_only(scene: Scene) -> None:
    regular(scene)
    scene.path.chmod(0o400)


def hard_link(scene: Scene) -> None:
    os.link(scene.victim, scene.path)


def own_symlink(scene: Scene) -> None:
    scene.path.symlink_to(scene.victim)
    give(scene.path, RECIPIENT)


def own_symlink_to_nothing(scene: Scene) -> None:
    scene.path.symlink_to(scene.others / "new")
    give(scene.path, RECIPIENT)
    scene.others.chmod(0o777)


def own_symlink_to_device(scene: Scene) -> None:
    scene.path.symlink_to("/dev/null")
    give(scene.path, RECIPIENT)


def symlink_loop(scene: Scene) -> None:
    scene.path.symlink_to(scene.path)
    give(scene.path, RECIPIENT)


def roots_symlink_in_their_directory(scene: Scene) -> None:
    scene.path.symlink_to(scene.victim)


def roots_symlink(scene: Scene) -> None:
    scene.path = scene.others / "link"
    scene.path.symlink_to(scene.victim)


def roots_symlink_where_a_group_writes(scene: Scene) -> None:
    roots_symlink(scene)
    scene.others.chmod(0o775)


def roots_symlink_where_all_write(scene: Scene) -> None:
    roots_symlink(scene)
    scene.others.chmod(0o1777)


def strangers_symlink_in_roots_directory(scene: Scene) -> None:
    roots_symlink(scene)
    give(scene.path, STRANGER)


def directory(scene: Scene) -> None:
    scene.path.mkdir()
    give(scene.path, RECIPIENT)


def fifo(scene: Scene) -> None:
    os.mkfifo(scene.path)
    give(scene.path, RECIPIENT)


def unix_socket(scene: Scene) -> None:
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind(os.fspath(scene.path))
    give(scene.path, RECIPIENT)


def parent_missing(scene: Scene) -> None:
    scene.path = scene.home / "missing" / "mbox"


def parent_closed(scene: Scene) -> None:
    scene.others.chmod(0o700)
    scene.path = scene.others / "mbox"


def parent_not_his(scene: Scene) -> None:
    scene.path = scene.others / "mbox"


def parent_a_file(scene: Scene) -> None:
    scene.path = scene.victim / "mbox"


def device(scene: Scene) -> None:
    scene.path = Path("/dev/null")


def nothing(scene: Scene) -> None:
    pass


OPENED = (0, "")
LINK = (errno.EPERM, "file is a symbolic link")
CASES: dict[Callable[[Scene], None], tuple[int, str]] = {
    nothing: OPENED,
    regular: OPENED,
    device: OPENED,
    roots_symlink: OPENED,
    read_only: (errno.EACCES, "cannot open file: Permission denied"),
    hard_link: (errno.EPERM, "file has 2 hard links"),
    own_symlink: LINK,
    own_symlink_to_nothing: (
        errno.ENOENT,
        "cannot open file: No such file or directory",
    ),
    own_symlink_to_device: LINK,
    symlink_loop: (errno.ELOOP, "cannot open file: Too many levels of symbolic links"),
    roots_symlink_in_their_directory: LINK,
    roots_symlink_where_a_group_writes: LINK,
    roots_symlink_where_all_write: LINK,
    strangers_symlink_in_roots_directory: LINK,
    directory: (errno.EISDIR, "cannot open file: Is a directory"),
    fifo: (errno.ENXIO, "cannot open file: No such device or address"),
    unix_socket: (errno.ENXIO, "cannot open file: No such device or address"),
    parent_missing: (
        errno.ENOENT,
        "cannot create file exclusively: No such file or directory",
    ),
    parent_closed: (errno.EACCES, "cannot open file: Permission denied"),
    parent_not_his: (
        errno.EACCES,
        "cannot create file exclusively: Permission denied",
    ),
    parent_a_file: (errno.ENOTDIR, "cannot open file: Not a directory"),
}


def ours(path: bytes, flags: int, mode: int) -> tuple[int, str]:
    """What safe_open() in tests.harness.genuine_files says, from our own code."""
    try:
        fd, status, _ = open_or_create(path, flags, mode)
    except UnsafeFileError as error:
        return error.errno or 0, error.reason
    assert os.fstat(fd) == status
    os.close(fd)
    return OPENED


def opened_by_recipient(scene: Scene, how: Callable[..., tuple[int, str]]) -> Any:
    def work(_: Log) -> tuple[int, str]:
        with acting_as(RECIPIENT):
            before = open_descriptors()
            answer = how(os.fsencode(scene.path), FLAGS, 0o600)
            if how is ours:
                assert open_descriptors() == before
            return answer

    return as_mail_system(work)


@pytest.mark.root
@pytest.mark.parametrize("prepare", CASES, ids=lambda prepare: prepare.__name__)
def test_what_a_recipient_may_put_in_the_place_of_their_mbox(
    ground: Path, prepare: Callable[[Scene], None]
) -> None:
    scene = Scene(ground)
    prepare(scene)
    scene.finish()
    before = tree(ground)
    assert opened_by_recipient(scene, ours) == CASES[prepare]
    after = tree(ground)
    if prepare is nothing:
        mode = stat.S_IFREG | 0o600
        assert after.pop("home/mbox") == (mode, RECIPIENT.uid, RECIPIENT.gid, b"")
    assert after == before


@pytest.mark.postfix
@pytest.mark.parametrize("prepare", CASES, ids=lambda prepare: prepare.__name__)
def test_the_genuine_function_says_the_same(
    ground: Path, prepare: Callable[[Scene], None]
) -> None:
    scene = Scene(ground)
    prepare(scene)
    scene.finish()
    assert opened_by_recipient(scene, genuine_files.safe_open) == CASES[prepare]


def refusal(path: Path, flags: int = FLAGS) -> tuple[int, str]:
    before = open_descriptors()
    with pytest.raises(UnsafeFileError) as caught:
        open_or_create(os.fsencode(path), flags, 0o600)
    assert open_descriptors() == before
    return caught.value.errno or 0, caught.value.reason


def test_a_new_file_is_told_from_an_old_one(ground: Path) -> None:
    path = ground / "mbox"
    fd, status, is_new = open_or_create(os.fsencode(path), FLAGS, 0o600)
    os.close(fd)
    assert is_new
    again, status_again, is_new = open_or_create(os.fsencode(path), FLAGS, 0o600)
    os.close(again)
    assert not is_new
    assert status.st_ino == status_again.st_ino


def test_a_new_file_has_its_mode_whatever_takes_rights_away(ground: Path) -> None:
    """Here the umask, elsewhere a default access control list."""

    def work() -> int:
        os.umask(0o777)
        fd, status, is_new = open_or_create(bytes(ground / "mbox"), FLAGS, 0o600)
        assert is_new
        assert stat.S_IMODE(os.fstat(fd).st_mode) == stat.S_IMODE(status.st_mode)
        return stat.S_IMODE(status.st_mode)

    assert in_child(work) == 0o600


def test_a_program_that_is_started_does_not_inherit_the_file(ground: Path) -> None:
    for _ in ("new", "old"):
        fd, _, _ = open_or_create(os.fsencode(ground / "mbox"), FLAGS, 0o600)
        assert not os.get_inheritable(fd)
        assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND
        os.close(fd)


def test_a_directory_opened_for_reading_is_refused_after_opening(ground: Path) -> None:
    assert refusal(ground, os.O_RDONLY)[0] in (errno.EPERM, errno.EISDIR)
    # A directory has two names, its own and "."; that is found first, as in Postfix.
    assert refusal(ground, os.O_RDONLY)[1] == "file has 2 hard links"


def test_a_fifo_with_a_reader_is_opened_without_blocking(ground: Path) -> None:
    path = ground / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fd, status, is_new = open_or_create(os.fsencode(path), FLAGS, 0o600)
    os.close(fd)
    os.close(reader)
    assert stat.S_ISFIFO(status.st_mode)
    assert not is_new


def replaced_by(action: Prepare) -> Callable[..., os.stat_result]:
    """lstat() for an attacker who is faster and acts right before it."""
    real = os.lstat

    def lstat(path: bytes) -> os.stat_result:
        action(Path(os.fsdecode(path)))
        return real(path)

    return lstat


def remove(path: Path) -> None:
    path.unlink()


def swap_for_file(path: Path) -> None:
    other = path.with_name("other")
    other.touch(0o600)
    other.rename(path)


def swap_for_symlink(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def add_hard_link(path: Path) -> None:
    os.link(path, path.with_name("second"))


def change_mode(path: Path) -> None:
    path.chmod(0o666)


CHANGED = "file status changed unexpectedly"


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (remove, f"{CHANGED}: No such file or directory"),
        (swap_for_file, CHANGED),
        (swap_for_symlink, "file is a symbolic link"),
        (add_hard_link, CHANGED),
        (change_mode, CHANGED),
    ],
)
def test_a_file_that_is_swapped_while_it_is_opened_is_refused(
    ground: Path, monkeypatch: pytest.MonkeyPatch, action: Prepare, reason: str
) -> None:
    path = ground / "mbox"
    path.touch(0o600)
    if action is swap_for_symlink and os.geteuid() == 0:
        ground.chmod(0o777)  # or the link would be root's in root's directory
    monkeypatch.setattr(os, "lstat", replaced_by(action))
    assert refusal(path) == (errno.EPERM, reason)


def appearing(times: int, appear: Prepare) -> Callable[..., int]:
    """open() that finds somebody else's work when it comes back for the n-th time."""
    real = os.open
    calls = 0

    def opens(path: bytes, flags: int, mode: int = 0o777) -> int:
        nonlocal calls
        calls += 1
        if calls == times:
            appear(Path(os.fsdecode(path)))
        return real(path, flags, mode)

    return opens


def test_a_file_that_appears_before_it_can_be_created_is_opened(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = ground / "mbox"
    monkeypatch.setattr(os, "open", appearing(2, lambda path: path.touch(0o600)))
    fd, status, is_new = open_or_create(os.fsencode(path), FLAGS, 0o600)
    monkeypatch.undo()
    os.close(fd)
    assert not is_new
    assert status.st_ino == path.stat().st_ino


def test_a_symlink_that_appears_before_it_can_be_created_is_not_followed(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = ground / "target"
    monkeypatch.setattr(os, "open", appearing(2, lambda path: path.symlink_to(target)))
    assert refusal(ground / "mbox") == (
        errno.ENOENT,
        "cannot open file: No such file or directory",
    )
    assert not target.exists()


def test_a_file_that_disappears_again_is_given_up(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Create says "exists", the second opening "no such file": no endless race."""
    path = ground / "mbox"

    real = os.open
    calls = []

    def opens(path: bytes, flags: int, mode: int = 0o777) -> int:
        calls.append(flags)
        if len(calls) == 2:
            os.close(real(path, os.O_CREAT, 0o600))
        if len(calls) == 3:
            os.unlink(path)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", opens)
    assert refusal(path)[1] == "cannot open file: No such file or directory"
    assert len(calls) == 3


@pytest.mark.parametrize("is_new", [True, False])
def test_a_file_that_cannot_be_examined_is_closed_again(
    ground: Path, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    path = ground / "mbox"
    if not is_new:
        path.touch()
    before = open_descriptors()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", fail)
        with pytest.raises(OSError, match="Stale file handle"):
            open_or_create(os.fsencode(path), os.O_WRONLY, 0o600)
    assert open_descriptors() == before
