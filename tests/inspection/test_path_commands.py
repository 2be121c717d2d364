"""Every command that is made for a path: safe below directories of others, and of use.

The forms of commands are found by their type, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import ast
import ctypes
import inspect
import itertools
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_type_hints

import pytest

from postvirt.config.parameters import Settings
from postvirt.inspection import command, commands
from postvirt.inspection.command import Commands
from postvirt.inspection.path_commands import Place, place_of
from postvirt.model.mailbox import Owner
from tests.harness import hostile_links
from tests.harness.child import public_directory, tree

pytestmark = pytest.mark.root

EVIL = Owner(5001, 5000)
SOURCES = Path(inspect.getfile(commands)).parent
MAKERS = {"command.py", "commands.py", "path_commands.py"}

# "kind form": what makes it for a path. The kind is that of the path.
FORMS: dict[str, Callable[[Settings, str], Commands]] = {
    "directory chown": lambda _, path: place_of(path).chown(EVIL.uid, EVIL.gid),
    "directory chgrp": lambda _, path: place_of(path).chgrp("5000"),
    "directory chmod": lambda _, path: place_of(path).chmod("u+rwx", owner=EVIL),
    "missing create": lambda _, path: place_of(path).create(EVIL.uid, EVIL.gid),
    "file chown": lambda _, path: place_of(path).chown("root"),
    "file chgrp": lambda _, path: place_of(path).chgrp("5000"),
    "file chmod": lambda _, path: place_of(path).chmod("go-w", owner=EVIL),
    "file give_file": lambda _, path: place_of(path).give_file(EVIL),
    "file postmap": lambda it, path: commands.postmap(it, f"lmdb:{path}"),
    "file postalias": lambda it, path: commands.postalias(it, f"lmdb:{path}"),
    "file remove_byte_order_mark": lambda _, path: commands.remove_byte_order_mark(
        path
    ),
    "file keep_from_others": lambda _, path: commands.keep_from_others("5000", [path]),
    "file end_last_line": lambda _, path: commands.end_last_line(path),
    "file substitute": lambda _, path: commands.substitute({"\xa0": " "}, path),
    "file set_date": lambda _, path: commands.set_date(path),
    "file copy": lambda _, path: commands.copy("/bin/true", path),
    "directory postfix": lambda it, path: commands.postfix(
        it.changed(config_directory=path), "check"
    ),
    "directory postconf": lambda it, path: commands.postconf(
        it.changed(config_directory=path), "-e", "x = y"
    ),
    "directory assign": lambda it, path: commands.assign(
        it.changed(config_directory=path), "x", "y"
    ),
    "directory postvirt": lambda it, path: commands.postvirt(
        it.changed(config_directory=path), "install"
    ),
    "directory reload_postfix": lambda it, path: commands.reload_postfix(
        it.changed(config_directory=path)
    ),
    "directory remount_writable": lambda _, path: commands.remount_writable(path),
    "directory label_for_mail": lambda _, path: commands.label_for_mail(path),
    "directory extend_unit": lambda _, path: commands.extend_unit(path, "x", "A=b"),
}


def returning_commands(found: object) -> set[str]:
    return {
        name
        for name, one in inspect.getmembers(found, inspect.isfunction)
        if get_type_hints(one).get("return") == Commands
        and inspect.getmodule(one) in (found, inspect.getmodule(found))
        and not name.startswith("_")
    }


def exchange(one: bytes, other: bytes) -> None:
    """The names of two files, at once."""
    at_cwd, rename_exchange = -100, 2
    libc = ctypes.CDLL(None, use_errno=True)
    libc.renameat2(at_cwd, one, at_cwd, other, rename_exchange)


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory of root's; in it one of evil's with one of root's and one of evil's.

    In each there are a directory and a file.
    """
    with public_directory() as directory:
        made = directory / "root"
        made.mkdir()
        for owner in ("evil", "evil/root's", "evil/evil's"):
            (made / owner).mkdir(mode=0o755)
            (made / owner / "directory").mkdir(mode=0o500)
            (made / owner / "file").touch(mode=0o400)
            if not owner.endswith("root's"):
                for path in (made / owner, *(made / owner).iterdir()):
                    os.chown(path, EVIL.uid, EVIL.gid)
        yield made


def test_all_forms_are_here() -> None:
    made = returning_commands(commands) | returning_commands(Place)
    assert {name.split()[1] for name in FORMS} == made


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("above", ["evil", "evil/root's", "evil/evil's"])
def test_root_follows_no_name_in_the_hands_of_others(
    form: str, above: str, root: Path, settings: Callable[..., Settings]
) -> None:
    path = root / above / form.split(maxsplit=1)[0]
    made = FORMS[form](settings(), str(path))
    replaced = hostile_links.attack(root, made)
    assert bool(replaced) == bool(made)


@pytest.mark.parametrize(
    "line",
    [
        "chown 5001:5000 {}/directory",
        "chmod u+rwx {}/directory",
        "chown -h 5001:5000 {}/file",
        "install -d -o 5001 -g 5000 {}/missing",
        "mkdir -p {}/missing && chown 5001 {}/missing",
        "(cd {}/directory && chown 5001:5000 .)",
        '(cd -P {}/directory && [ "$PWD" != x ] && chmod 755 .)',
        '(cd -P {}/directory && [ "$(env pwd -P)" = {}/directory ] && chmod 755 .)',
    ],
)
def test_commands_that_follow_such_names_are_found(line: str, root: Path) -> None:
    """The attack is one."""
    with pytest.raises(AssertionError):
        hostile_links.attack(root, [line.replace("{}", f"{root}/evil")])


def test_a_link_of_others_has_no_commands(root: Path) -> None:
    link = root / "evil/link"
    link.symlink_to(root / "evil/directory")
    for path in (link, link / "missing"):
        place = place_of(str(path))
        assert place.link is not None
        assert place.link.target == os.fsencode(root / "evil/directory")
        for name in returning_commands(Place):
            arguments = {"chown": ("root",), "chgrp": ("root",), "chmod": ("a+x",)}
            assert getattr(place, name)(*arguments.get(name, (EVIL,))) == ()


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_directory_of_others_is_changed(root: Path, shell: str) -> None:
    """What only root can change, and what they can change themselves."""
    directory = root / "evil/directory"
    os.chown(directory, 0, 0)
    made = place_of(str(directory)).chown(EVIL.uid, EVIL.gid)
    made += place_of(str(root / "evil/new/of/evil")).create(EVIL.uid, EVIL.gid)
    hostile_links.run(made, shell=shell)
    made = place_of(str(directory)).chmod("u+rwx", owner=EVIL)
    assert "setpriv" in made[0]
    hostile_links.run(made, shell=shell)
    for path in (directory, root / "evil/new", root / "evil/new/of/evil"):
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (EVIL.uid, EVIL.gid)
        assert status.st_mode & 0o700 == 0o700


def test_a_directory_that_is_replaced_again_and_again(root: Path) -> None:
    """A command begins with one directory and goes on with another one."""
    directory, link = root / "evil/directory", root / "evil/link"
    victim = root.parent / "victim"
    victim.mkdir()
    link.symlink_to(victim)
    before = (victim.stat().st_uid, victim.stat().st_mode, tree(victim))
    made = place_of(str(directory)).chown(EVIL.uid, EVIL.gid)
    for number in range(30):
        made += place_of(str(directory / f"new{number}")).create(EVIL.uid, EVIL.gid)
        made += place_of(str(directory)).chmod("o+x")
    is_over = threading.Event()

    def replace_again_and_again() -> None:
        # Both names change places at once, so that one of them is always there.
        while not is_over.is_set():
            exchange(os.fsencode(directory), os.fsencode(link))

    replacing = threading.Thread(target=replace_again_and_again)
    replacing.start()
    try:
        hostile_links.run(made)
    finally:
        is_over.set()
        replacing.join()
    assert (victim.stat().st_uid, victim.stat().st_mode, tree(victim)) == before


@pytest.mark.parametrize(
    "name", ["-rf", "a b", "'", '"', "$(id)", "`id`", ";id", "*", "\\", "!x", "ä"]
)
def test_names_are_quoted(root: Path, name: str) -> None:
    for above in (root, root / "evil"):
        (above / name).mkdir()
        made = place_of(str(above / name)).chown(EVIL.uid, EVIL.gid)
        made += place_of(str(above / name / name)).create(EVIL.uid, EVIL.gid)
        hostile_links.run(made)
        assert (above / name).stat().st_uid == EVIL.uid
        assert (above / name / name).stat().st_uid == EVIL.uid


@pytest.mark.parametrize(
    "name", [b"a\nb", b"\x1b[2J", b"\xff", "a\u202eb".encode(), b"a\r", "\x9b".encode()]
)
def test_a_name_that_a_terminal_changes_has_no_commands(
    root: Path, name: bytes
) -> None:
    for above in (root, root / "evil"):
        path = os.path.join(os.fsencode(above), name)
        os.mkdir(path)
        assert place_of(path).chown("root") == ()
        assert place_of(path + b"/x").create(5001, 5000) == ()
        assert place_of(path).chmod("u+rwx", owner=EVIL) == ()
    assert command.command("echo", name) == ()


def test_commands_are_made_in_one_place() -> None:
    """Elsewhere only their type is imported; mypy refuses a string."""
    for module in SOURCES.parent.rglob("*.py"):
        if module.parent == SOURCES and module.name in MAKERS:
            continue
        for node in ast.walk(ast.parse(module.read_text())):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module == command.__name__
                and [one.name for one in node.names] != ["Commands"]
            ):
                pytest.fail(f"{module} makes commands")


# Programs whose argument is a path. A sentence may name them, but not with a path.
_NAMED = re.compile(
    r"\b(ch(own|mod|grp)|mkdir|install -\S+|mv|cp|rm|ln|sed|setfacl|restorecon"
    r"|post(map|alias))( -\S+)* \S*$"
)


def test_no_sentence_contains_a_command_for_a_path() -> None:
    for module in (*SOURCES.rglob("*.py"), *(SOURCES.parent / "mailbox").glob("*.py")):
        if module.name in MAKERS:
            continue
        for node in ast.walk(ast.parse(module.read_text())):
            parts = node.values if isinstance(node, ast.JoinedStr) else ()
            for part, following in itertools.pairwise(parts):
                said = part.value if isinstance(part, ast.Constant) else ""
                is_path = isinstance(following, ast.FormattedValue)
                assert not (is_path and _NAMED.search(str(said))), (module, said)
