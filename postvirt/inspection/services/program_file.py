"""Whether master(8) can start the program, and which program it is.

Raises: nothing.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from postvirt.config.compiled_in import compiled_in
from postvirt.config.parameters import PARAMETERS
from postvirt.inspection.command import Commands
from postvirt.inspection.commands import copy, in_words, postvirt
from postvirt.inspection.path_commands import place_of
from postvirt.inspection.problem import Problem
from postvirt.inspection.services.virtual_environment import writable_in_environment
from postvirt.inspection.subject import Subject
from postvirt.installation.programs import (
    Program,
    interpreter_of,
    kept_genuine,
    program_at,
)
from postvirt.model.text import text
from postvirt.system import privileges
from postvirt.system.path_control import way_to

# With more than this, it is better to install everything again.
_MOST_COMMANDS = 5

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def program_path(daemon_directory: str, command: str) -> Path:
    """The file that master(8) starts."""
    return Path(daemon_directory, command)


def is_launcher(path: Path) -> bool:
    """Whether it is postvirt's."""
    return program_at(path) is Program.LAUNCHER


def check_program(subject: Subject) -> Iterator[Problem]:
    """The program of an entry in master.cf."""
    entry, settings = subject.process.entry, subject.settings
    if entry is None:
        return
    if not os.path.isdir(settings.daemon_directory) and not _is_set(subject):
        return  # only the files are here, not the Postfix that reads them
    path = program_path(settings.daemon_directory, entry.command)
    kind = program_at(path)
    if kind is Program.NOTHING:
        yield _missing(subject, path)
    elif not os.access(path, os.X_OK):
        yield _not_executable(subject, path)
    elif kind is Program.LAUNCHER:
        yield from _launcher(subject, path)
    elif kind is Program.GENUINE:
        yield from _shadowed(subject, path)


def _is_set(subject: Subject) -> bool:
    main_cf = subject.places.main_cf
    return main_cf is not None and bool(main_cf.last_assignment("daemon_directory"))


def _missing(subject: Subject, path: Path) -> Problem:
    commands: Commands = ()
    kept = kept_genuine(path)
    if program_at(kept) is Program.GENUINE:
        commands = copy(str(kept), str(path)) + postvirt(subject.settings, "install")
    is_link = path.is_symlink()
    return subject.entry_problem(
        "PV505",
        f"{path} is a symbolic link that leads nowhere"
        if is_link
        else f"{path} does not exist",
        remedy="reinstall Postfix, or correct daemon_directory or the last column of"
        " the entry in master.cf",
        commands=commands,
    )


def _not_executable(subject: Subject, path: Path) -> Problem:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return subject.entry_problem(
            "PV506",
            f"{path} is not a program",
            remedy="restore the program that came with Postfix",
        )
    if status.st_mode & stat.S_IXUSR:
        return subject.entry_problem(
            "PV506",
            f"{path} cannot be executed: its file system is mounted noexec",
            remedy="remount it without noexec",
        )
    return subject.entry_problem(
        "PV506",
        f"{path} is not executable (mode {stat.S_IMODE(status.st_mode):04o})",
        remedy="make it executable",
        commands=place_of(str(path)).chmod("755"),
    )


def _launcher(subject: Subject, path: Path) -> Iterator[Problem]:
    interpreter = interpreter_of(path)
    if not os.access(interpreter, os.X_OK):
        yield subject.entry_problem(
            "PV507",
            f"{path} runs with {interpreter}, which"
            + (
                " cannot be executed"
                if os.path.exists(interpreter)
                else " does not exist"
            ),
            remedy="reinstall postvirt",
            commands=_reinstall(subject, path),
        )
        return
    if interpreter != sys.executable and not path.is_symlink():
        yield subject.entry_problem(
            "PV509",
            f"{path} runs with {interpreter}, but this postvirt runs with"
            f" {sys.executable}",
            severity="warning",
            remedy="run the check of the installed postvirt, or install this one",
            commands=_reinstall(subject, path),
        )
    files = dict.fromkeys((os.path.realpath(path), os.path.realpath(interpreter)))
    for file in files:
        yield from _writable_by_others(subject, file)
    ways = (str(path), os.path.realpath(interpreter))
    for directory in dict.fromkeys(way_to(os.fsencode(file)).loose for file in ways):
        if directory:
            yield _replaceable(subject, text(directory))
    yield from _environment(subject, interpreter)


def _environment(subject: Subject, interpreter: str) -> Iterator[Problem]:
    """Only root may change what is imported by what runs as root."""
    found = writable_in_environment(interpreter)
    if not found:
        return
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    commands: Commands = ()
    if len(found) <= _MOST_COMMANDS:
        for path in found:
            commands += _for_root_alone(path)
    yield subject.entry_problem(
        "PV511",
        f"users other than root can change {found[0]}{others}, which runs as root",
        remedy="allow only root to write there, or install postvirt again as root, in"
        " a new virtual environment",
        commands=commands,
    )


def _writable_by_others(subject: Subject, path: str) -> Iterator[Problem]:
    """Only root may change what runs as root."""
    status = os.stat(path)
    is_others = status.st_uid != 0 and privileges.is_root()
    is_writable = bool(status.st_mode & _WRITABLE_BY_OTHERS)
    place = place_of(path)
    commands: Commands = ()
    if is_others:
        commands += place.chown("root")
    if is_writable:
        commands += place.chmod("go-w")
    if is_others or is_writable:
        yield subject.entry_problem(
            "PV511",
            f"{path} runs as root, but users other than root can change it",
            remedy="allow only root to write it",
            commands=commands,
        )


def _replaceable(subject: Subject, directory: str) -> Problem:
    """Only root may replace what runs as root, by changing a directory above it."""
    return subject.entry_problem(
        "PV511",
        f"users other than root can replace what is in {directory}, which runs as root",
        remedy="allow only root to write to this directory",
        commands=_for_root_alone(directory),
    )


def _for_root_alone(path: str) -> Commands:
    place = place_of(path)
    # A directory such as /tmp is for everyone.
    if not place.status or place.status.st_mode & stat.S_ISVTX:
        return ()
    return place.chown("root") + place.chmod("go-w")


def _shadowed(subject: Subject, path: Path) -> Iterator[Problem]:
    """The genuine program, although postvirt was installed before."""
    if program_at(kept_genuine(path)) is Program.GENUINE:
        remove = in_words(postvirt(subject.settings, "uninstall"), "postvirt uninstall")
        yield subject.entry_problem(
            "PV508",
            f"{path} is Postfix's own program again, although postvirt was installed"
            f" there ({kept_genuine(path)} still exists)",
            severity="warning",
            remedy="a Postfix upgrade has replaced postvirt; install it again, or"
            f" remove it completely with: {remove}",
            commands=postvirt(subject.settings, "install"),
        )
        return
    usual = program_path(_default_directory(subject), path.name)
    if usual.parent != path.parent and is_launcher(usual):
        yield subject.entry_problem(
            "PV508",
            f"postvirt is installed as {usual}, but daemon_directory is {path.parent}",
            severity="warning",
            remedy="install postvirt there as well, or correct daemon_directory",
            commands=postvirt(subject.settings, "install"),
        )


def _default_directory(subject: Subject) -> str:
    default = PARAMETERS["daemon_directory"].default
    compiled = compiled_in(subject.settings.command_directory)
    return compiled.get("daemon_directory", default)


def _reinstall(subject: Subject, path: Path) -> Commands:
    """`postvirt install` puts its launcher under this name only."""
    is_ours = path.name == "virtual" and not path.is_symlink()
    return postvirt(subject.settings, "install") if is_ours else ()
