"""Run commands as root after others have replaced what they could on the way.

Every name in the paths of the commands that others can replace is replaced in turn: by
a link to a directory or a file of root's, by another name of that file, and by a
directory of root's from beside it. The names are replaced with the rights of the users
in question, so that the kernel says what they can do. Whatever the commands do then,
what is root's stays as it is.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness.child import in_child, tree

_STRANGER = 6009


def run(commands: Sequence[str], *, shell: str = "sh") -> None:
    """Run them as an administrator would who pastes them all."""
    for command in commands:
        subprocess.run([shell, "-c", command], check=False, capture_output=True)


def attack(root: Path, commands: Sequence[str], *, shell: str = "sh") -> int:
    """The number of replacements that were possible; none of them had an effect."""
    count = 0
    for name in _names(root, commands):
        for replace in (
            _by_link_to_directory,
            _by_link_to_file,
            _by_hard_link,
            _by_moving_a_directory,
        ):
            if not _move_away_as_its_user(name):
                break
            victim = _Victim(root.parent / "victim", _away(name))
            replace(victim, name)
            with _looking(victim.root), _looking(name):
                run(commands, shell=shell)
            _move_back(name)
            shutil.rmtree(victim.root)
            count += 1
    return count


def has_replaceable(root: Path, commands: Sequence[str]) -> bool:
    """Whether others can replace a name in these commands."""
    for name in _names(root, commands):
        if _move_away_as_its_user(name):
            _move_back(name)
            return True
    return False


def _names(root: Path, commands: Sequence[str]) -> Iterator[Path]:
    """Every name below the root that occurs in these commands."""
    seen: set[Path] = set()
    for command in commands:
        for word in shlex.split(command):
            path = Path(word[word.find("/") :] if "/" in word else "/")
            if root in path.parents:
                below = [one for one in path.parents if root in one.parents]
                seen.update((path, *below))
    yield from sorted(seen)


@dataclass(frozen=True, slots=True)
class _Victim:
    """A directory of root's with the names that are in another one, and a file."""

    root: Path
    like: Path

    def __post_init__(self) -> None:
        self.root.mkdir(mode=0o700)
        if self.like.is_dir() and not self.like.is_symlink():
            self._copy(self.like, self.directory)
        else:
            self.directory.mkdir(mode=0o700)
        self.file.write_bytes(b"root's")
        self.file.chmod(0o600)
        shutil.copy(self.file, self.directory / "file")

    @property
    def directory(self) -> Path:
        return self.root / "directory"

    @property
    def file(self) -> Path:
        return self.root / "file"

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        target.mkdir(mode=0o700)
        for one in source.iterdir():
            if one.is_dir() and not one.is_symlink():
                _Victim._copy(one, target / one.name)
            else:
                (target / one.name).touch(mode=0o600)


@contextmanager
def _looking(directory: Path) -> Iterator[None]:
    """A directory of root's, wherever others move it, stays what it is."""
    if directory.is_symlink() or not directory.is_dir():
        yield
        return
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        before = _state(fd)
        yield
        assert _state(fd) == before, directory
    finally:
        os.close(fd)


def _state(fd: int) -> object:
    status = os.fstat(fd)
    below = tree(Path(f"/proc/self/fd/{fd}"))
    return (status.st_mode, status.st_uid, status.st_gid, below)


def _by_link_to_directory(victim: _Victim, name: Path) -> None:
    name.symlink_to(victim.directory)
    _give_link(name)


def _by_link_to_file(victim: _Victim, name: Path) -> None:
    name.symlink_to(victim.file)
    _give_link(name)


def _by_hard_link(victim: _Victim, name: Path) -> None:
    # As its user, where fs.protected_hardlinks is off.
    os.link(victim.file, name)


def _by_moving_a_directory(victim: _Victim, name: Path) -> None:
    _Victim._copy(victim.directory, name)


def _give_link(name: Path) -> None:
    above = name.parent.stat()
    os.chown(name, above.st_uid, above.st_gid, follow_symlinks=False)


def _away(name: Path) -> Path:
    return name.with_name(f"{name.name}.away")


def _move_away_as_its_user(name: Path) -> bool:
    """Move a name away, or find out that it could be created; False if impossible."""
    above = name.parent
    if not above.is_dir() or above.is_symlink():
        return False
    status = above.stat()
    uid = status.st_uid or _STRANGER
    gid = status.st_gid if status.st_mode & stat.S_IWGRP else _STRANGER
    return in_child(_mover(name, uid, gid))


def _mover(name: Path, uid: int, gid: int) -> Callable[[], bool]:
    def move() -> bool:
        os.chdir(name.parent)
        os.setgroups(())
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        try:
            if os.path.lexists(name.name):
                os.rename(name.name, _away(name).name)
            else:
                os.mkdir(name.name)
                os.rmdir(name.name)
        except OSError:
            return False
        return True

    return move


def _move_back(name: Path) -> None:
    """As it was, whatever the commands have put there."""
    # Commands may move a file to the other name.
    for path in (name, name.with_name(f"{name.name}.old")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif os.path.lexists(path):
            path.unlink()
    if os.path.lexists(_away(name)):
        _away(name).rename(name)
