"""Installations that are broken in one way each, and the proof that they are mended.

A case is made by a function that gets a sound installation and breaks it. What
check-config says about it has to have the case's code; then its remedy is followed: the
commands, run by a shell, or else the case's own `mend`, which does what the sentence
says. After that the code has to be gone.

Modules below tests/inspection/installations have a tuple BROKEN of Broken and a tuple
SOUND of Sound; tests/inspection/test_installations.py goes through all of them.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pytest

from postvirt.config.load import check
from postvirt.inspection.problem import Problem, Severity
from postvirt.inspection.run import inspect
from postvirt.inspection.subject import AgentProcess, Extent, Subject
from postvirt.standin.instance import Instance
from tests.harness import hostile_links
from tests.harness.child import in_child
from tests.harness.file_systems import leave_the_mounts_of_the_others

# Imported once, here, and not in every child; some of them may not read the files.
import_module("postvirt.inspection.checks")

_SETTLED_SECONDS = 3
_MAILBOXES = {"bob@example.com": "example.com/bob/", "mbox@example.com": "mbox"}


class Installation(Instance):
    """A sound installation, and what it takes to change it a little.

    It has a texthash: table of mailboxes, a maildir and an mbox, all of one owner.
    """

    def __init__(self, root: Path) -> None:
        self._parameters: dict[str, str] = {}
        self.dovecot = root / "etc" / "dovecot.conf"  # not there
        super().__init__(root)
        self.mailboxes(_MAILBOXES)

    def set(self, **parameters: str | None) -> None:
        """Change parameters of main.cf; None takes one out."""
        for name, value in parameters.items():
            if value is None:
                self._parameters.pop(name, None)
            else:
                self._parameters[name] = value
        self.main_cf(self._parameters)

    def table(
        self, name: str, entries: Mapping[str, str], *, kind: str = "texthash"
    ) -> str:
        """Write a table: "type:path"."""
        return self.add_table(kind, name, entries)

    def mailboxes(self, entries: Mapping[str, str], *, kind: str = "texthash") -> None:
        """Have these entries in virtual_mailbox_maps, and no others."""
        table = self.table("mailboxes", entries, kind=kind)
        self.set(virtual_mailbox_maps=table)

    def master_cf(self, text: str) -> None:
        """Write master.cf."""
        path = self.etc / "master.cf"
        path.write_text(text)
        path.chmod(0o644)

    def directory(
        self, path: str, *, mode: int = 0o755, owner: tuple[int, int] | None = None
    ) -> Path:
        """Make a directory below the mailboxes, for the recipient if nobody else."""
        made = self.mail / path
        for one in (*reversed(made.parents), made):
            if not one.exists():
                one.mkdir()
                self.give(one, owner)
        made.chmod(mode)
        self.give(made, owner)
        return made

    def mbox(
        self, path: str, *, size: int = 0, owner: tuple[int, int] | None = None
    ) -> Path:
        """Make a file of so many bytes (with a hole) below the mailboxes."""
        made = self.mail / path
        made.touch()
        made.chmod(0o600)
        self.give(made, owner)
        with made.open("r+b") as file:
            file.truncate(size)
        return made

    def give(self, path: Path, owner: tuple[int, int] | None = None) -> None:
        """Give a file to a uid and gid, to the recipient's if nothing is said."""
        if os.geteuid() == 0:
            mine = (self.recipient_owner.uid, self.recipient_owner.gid)
            os.chown(path, *(owner or mine), follow_symlinks=False)


Change = Callable[[Installation], object]


@dataclass(frozen=True, slots=True)
class Broken:
    """An installation with something wrong.

    name      of the test
    code      what check-config has to say
    breaks    makes it broken
    mends     does what the remedy says; None when the remedy is commands
    says      what has to be in the text, the remedy or the commands; {root} is the
              instance's directory
    needs     "root" or "postfix"
    mounts    it mounts something, which nobody else is to see
    """

    name: str
    code: str
    breaks: Change
    mends: Change | None = None
    severity: Severity = "error"
    says: Sequence[str] = ()
    needs: str = "root"
    mounts: bool = False


@dataclass(frozen=True, slots=True)
class Sound:
    """An installation with nothing wrong, however unusual: no error and no warning."""

    name: str
    makes: Change
    needs: str = "root"
    silent: Sequence[str] = field(default=())


def problems_of(installation: Installation) -> list[Problem]:
    """What check-config finds, in a process of its own."""
    _leave_alone(installation.etc)
    # Grammars and patterns are made once, here, and not in every child.
    check(str(installation.etc), process_name="virtual", service_name="virtual")
    etc, extent = str(installation.etc), Extent(dovecot=str(installation.dovecot))
    return in_child(lambda: inspect(etc, (), service_name="virtual", extent=extent))


def _leave_alone(directory: Path) -> None:
    """Have no file look as if it were being written: readers would wait.

    Files keep their order, because an index file may be older than its text.
    """
    now = time.time()
    for path in directory.rglob("*"):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_mtime > now - _SETTLED_SECONDS:
            then = status.st_mtime - _SETTLED_SECONDS
            os.utime(path, (then, then), follow_symlinks=False)


def subject_of(installation: Installation) -> Subject:
    """The delivery agent with the settings of this installation."""
    checked = check(str(installation.etc), process_name="virtual", service_name="v")
    assert checked.settings is not None
    return Subject(AgentProcess("virtual", "v", (), {}), checked, checked.settings)


def prove(case: Broken, installation: Installation) -> None:
    """The problem is found, and following the remedy makes it go away."""
    if case.mounts:
        in_child(lambda: _prove(case, installation))
    else:
        _prove(case, installation)


def _prove(case: Broken, installation: Installation) -> None:
    if case.mounts:
        leave_the_mounts_of_the_others()
    case.breaks(installation)
    found = _with_code(case, installation)
    assert found, f"{case.code} is not reported: {problems_of(installation)}"
    problem = found[0]
    assert problem.severity == case.severity, problem
    assert problem.remedy or problem.commands, problem
    told = "\n".join((problem.text, problem.remedy, *problem.commands))
    for part in case.says:
        assert part.replace("{root}", str(installation.root)) in told
    # What it leads to is none of the installation's.
    assert "is a symbolic link of uid" not in told or not problem.commands
    _attack(installation, [command for one in found for command in one.commands])
    if case.mends is not None:
        case.mends(installation)
    else:
        assert problem.commands, f"neither commands nor mends: {problem}"
        for one in found:
            for command in one.commands:
                subprocess.run(["sh", "-ec", command], check=True, timeout=60)
    left = _with_code(case, installation)
    assert not left, f"the remedy does not help: {left}"


def _attack(installation: Installation, commands: Sequence[str]) -> None:
    """No command follows what others put in its way; the installation stays as it is.

    Without root's rights nothing can be tried.
    """
    root = installation.root
    if os.geteuid() != 0 or not hostile_links.has_replaceable(root, commands):
        return
    kept = root.with_name("kept")
    subprocess.run(["cp", "-a", root, kept], check=True)
    hostile_links.attack(root, commands)
    # In place: the commands are about these directories, and not about copies.
    for path in sorted(root.rglob("*"), reverse=True):
        if not os.path.lexists(kept / path.relative_to(root)):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    subprocess.run(["cp", "-a", f"{kept}/.", root], check=True)
    shutil.rmtree(kept)


def prove_sound(case: Sound, installation: Installation) -> None:
    """Nothing is reported but information, and that only with codes not in silent."""
    case.makes(installation)
    loud = [
        one
        for one in problems_of(installation)
        if one.severity != "info" or one.code in case.silent
    ]
    assert not loud


def parameters(cases: Sequence[Broken] | Sequence[Sound]) -> list[object]:
    """The cases as pytest takes them, with the marker of what they need."""
    return [
        pytest.param(
            case,
            id=case.name.replace(" ", "-"),
            marks=[getattr(pytest.mark, case.needs)] if case.needs else [],
        )
        for case in cases
    ]


def _with_code(case: Broken, installation: Installation) -> list[Problem]:
    return [one for one in problems_of(installation) if one.code == case.code]
