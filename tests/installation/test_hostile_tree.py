"""postvirt install and uninstall where others could write, or have written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postvirt.errors import ConfigError
from postvirt.installation import diversions, drop_in, hints
from postvirt.installation.drop_in import DropIn
from postvirt.installation.launcher_script import launcher_script
from tests.harness.child import public_directory, tree

pytestmark = [pytest.mark.root, pytest.mark.timeout(20)]

EVIL = (5001, 5000)
GENUINE = b"#!/bin/sh\nexit 0\n\0virtual_minimum_uid\0"
EVILS = b"#!/bin/sh\nexec evil\n\0virtual_minimum_uid\0"


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher is not tried, and there is no dpkg."""
    monkeypatch.setattr(drop_in, "try_launcher", lambda *_: None)
    monkeypatch.setattr(diversions, "is_packaged", lambda _: False)
    monkeypatch.setattr(diversions, "place_of", lambda path: path)


@pytest.fixture
def daemons() -> Iterator[Path]:
    """A daemon_directory with the genuine program, in a directory of root's."""
    with public_directory() as root:
        directory = root / "postfix" / "daemons"
        directory.mkdir(parents=True)
        write(directory / "virtual", GENUINE)
        yield directory


def write(path: Path, content: bytes, owner: tuple[int, int] = (0, 0)) -> None:
    path.write_bytes(content)
    path.chmod(0o755)
    os.chown(path, *owner)


def place(daemons: Path) -> DropIn:
    return DropIn(str(daemons), "/etc/postfix")


def carry_out(daemons: Path, *, install: bool) -> None:
    it = place(daemons)
    for step in it.install() if install else it.uninstall():
        step.do()


def refused(daemons: Path, *, install: bool) -> str:
    """The error; nothing has changed."""
    before = tree(daemons.parent)
    with pytest.raises(ConfigError) as caught:
        carry_out(daemons, install=install)
    assert tree(daemons.parent) == before
    assert caught.value.remedy
    return caught.value.text


def owned(daemons: Path) -> Path:
    os.chown(daemons, *EVIL)
    return daemons


def below_owned(daemons: Path) -> Path:
    os.chown(daemons.parent, *EVIL)
    return daemons


def writable_for_a_group(daemons: Path) -> Path:
    os.chown(daemons, 0, 5000)
    daemons.chmod(0o775)
    return daemons


def writable_for_all(daemons: Path) -> Path:
    daemons.parent.chmod(0o777)
    return daemons


def linked_by_others(daemons: Path) -> Path:
    evils = daemons.parent / "evil's"
    evils.mkdir()
    (evils / "link").symlink_to(daemons)
    os.chown(evils, *EVIL)
    return evils / "link"


@pytest.mark.parametrize("install", [True, False])
@pytest.mark.parametrize(
    "spoil",
    [owned, below_owned, writable_for_a_group, writable_for_all, linked_by_others],
)
def test_a_place_of_others_is_refused(
    daemons: Path, spoil: Callable[[Path], Path], install: bool
) -> None:
    if not install:
        carry_out(daemons, install=True)
    named = spoil(daemons)
    # Not what is tried there, nor what is put there, may be theirs.
    said = refused(named, install=install)
    assert "users other than root" in said or "is a symbolic link of" in said


def test_a_sticky_directory_protects_a_directory_of_root_in_it(daemons: Path) -> None:
    daemons.parent.chmod(0o1777)
    carry_out(daemons, install=True)
    assert (daemons / "virtual").read_bytes() == launcher_script()


def backup_of_evil(kept: Path, evils: Path) -> None:
    write(kept, EVILS, EVIL)


def backup_that_all_can_write(kept: Path, evils: Path) -> None:
    write(kept, GENUINE)
    kept.chmod(0o777)


def backup_that_is_a_link(kept: Path, evils: Path) -> None:
    kept.symlink_to(evils / "file")


def backup_that_is_a_link_to_a_file_of_root(kept: Path, evils: Path) -> None:
    """A good one, until its name is another one's."""
    write(evils / "good", GENUINE)
    kept.symlink_to(evils / "good")


def backup_that_is_another_name(kept: Path, evils: Path) -> None:
    os.link(evils / "file", kept)


def backup_that_is_a_fifo(kept: Path, evils: Path) -> None:
    os.mkfifo(kept, 0o755)


def backup_that_is_a_directory(kept: Path, evils: Path) -> None:
    kept.mkdir()


def backup_without_end(kept: Path, evils: Path) -> None:
    kept.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    "put",
    [
        backup_of_evil,
        backup_that_all_can_write,
        backup_that_is_a_link,
        backup_that_is_a_link_to_a_file_of_root,
        backup_that_is_another_name,
        backup_that_is_a_fifo,
        backup_that_is_a_directory,
        backup_without_end,
    ],
)
def test_a_backup_of_others_is_not_restored(
    daemons: Path,
    put: Callable[[Path, Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Perhaps the directory was theirs for a while."""
    evils = daemons.parent / "evil's"
    evils.mkdir()
    write(evils / "file", EVILS, EVIL)
    os.chown(evils, *EVIL)
    carry_out(daemons, install=True)
    kept = daemons / "virtual.genuine"
    kept.unlink()
    put(kept, evils)
    said = refused(daemons, install=False)
    assert f"{kept}" in said
    if kept.is_dir():
        return
    # Nor does it count as what dpkg has put there for an upgrade.
    write(daemons / "virtual", GENUINE)
    monkeypatch.setattr(diversions, "place_of", lambda path: f"{path}.genuine")
    monkeypatch.setattr(diversions, "end_diversion", lambda _: None)
    carry_out(daemons, install=True)
    carry_out(daemons, install=False)
    assert (daemons / "virtual").read_bytes() == GENUINE
    assert (daemons / "virtual").stat().st_uid == 0
    assert (evils / "file").read_bytes() == EVILS


def test_a_program_of_others_is_not_kept(daemons: Path) -> None:
    os.chown(daemons / "virtual", *EVIL)
    said = refused(daemons, install=True)
    assert said.startswith(f"users other than root can change {daemons}/virtual (owner")


def test_a_launcher_of_others_is_replaced(daemons: Path) -> None:
    carry_out(daemons, install=True)
    os.chown(daemons / "virtual", *EVIL)
    carry_out(daemons, install=True)
    assert (daemons / "virtual").stat().st_uid == 0


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused(
    daemons: Path, make: Callable[[Path], None]
) -> None:
    (daemons / "virtual").unlink()
    make(daemons / "virtual")
    for install in (True, False):
        assert "neither" in refused(daemons, install=install)


@pytest.mark.parametrize("name", ["virtual.new", "virtual.genuine.new"])
def test_names_that_are_left_are_not_written_to(daemons: Path, name: str) -> None:
    victim = daemons.parent / "victim"
    put = daemons / name
    makers: tuple[Callable[[], None], ...] = (
        lambda: put.symlink_to(victim),
        lambda: os.link(victim, put),
        lambda: os.mkfifo(put),
        lambda: write(put, EVILS, EVIL),
    )
    for make in makers:
        write(victim, b"root's")
        before = victim.stat()
        make()
        carry_out(daemons, install=True)
        virtual, kept = daemons / "virtual", daemons / "virtual.genuine"
        assert virtual.read_bytes() == launcher_script()
        assert kept.read_bytes() == GENUINE
        assert (virtual.lstat().st_uid, kept.lstat().st_uid) == (0, 0)
        assert victim.read_bytes() == b"root's"
        assert victim.stat().st_mode == before.st_mode
        carry_out(daemons, install=False)
        put.unlink(missing_ok=True)


def test_a_configuration_of_others_is_a_note(daemons: Path) -> None:
    etc = daemons.parent / "etc"
    etc.mkdir()
    main_cf = etc / "main.cf"
    main_cf.touch(mode=0o644)

    def notes() -> bool:
        said = "\n".join(hints.hints(daemons / "virtual", main_cf))
        return f"can change {main_cf}, and so what runs as root" in said

    assert not notes()
    os.chown(etc, *EVIL)
    assert notes()
