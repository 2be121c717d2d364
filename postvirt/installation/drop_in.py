"""Put the launcher in the place of the genuine virtual, and restore that one.

The genuine program is kept beside it as virtual.genuine. If a dpkg package owns it, it
is diverted, so that an upgrade installs the new version there, too. Elsewhere an
upgrade replaces the launcher, which then has to be installed again.

At every moment a working program has the name `virtual`: files change places by link(2)
and rename(2). Whatever interrupts a change, repeating or undoing it ends well.

Raises: ConfigError for what must be corrected first; OSError.
Security: root runs these programs, so nothing is done in a directory where others can
replace them, and no program that others can change is kept or restored. Where only root
can replace names, what was examined stays what it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from postvirt.errors import ConfigError
from postvirt.installation import diversions
from postvirt.installation.launcher_script import launcher_script, try_launcher
from postvirt.installation.programs import (
    Program,
    kept_genuine,
    program_at,
    program_in,
    regular_file,
)
from postvirt.mailbox.obstacle import describe_link, owner_and_mode
from postvirt.model.text import shown, text
from postvirt.system.path_control import may_others_write, way_to

_REINSTALL = "reinstall Postfix, then try again"


class Step(NamedTuple):
    """One step, and the words for it."""

    text: str
    do: Callable[[], None]


class DropIn:
    """The programs in one daemon_directory.

    config_directory contains the main.cf with which the launcher is tried.
    """

    def __init__(self, daemon_directory: str, config_directory: str) -> None:
        self._named = Path(daemon_directory, "virtual")
        # dpkg knows files by the names that its packages give them, without links.
        self.virtual = Path(os.path.realpath(daemon_directory), "virtual")
        self.genuine = kept_genuine(self.virtual)
        self._new = self.virtual.with_name("virtual.new")
        self._config_directory = config_directory
        self._launcher = launcher_script()

    def install(self) -> list[Step]:
        """The steps that put the launcher in place; none if it is already."""
        found = self._expect_postfix_or_postvirt()
        was_diverted = self._is_diverted()
        is_current = self._is_current()
        steps = []
        if not is_current:
            steps.append(Step(f"try postvirt in {self.virtual.parent}", self._try))
        if not was_diverted and diversions.is_packaged(str(self.virtual)):
            steps.append(
                Step(
                    f"divert {self.virtual} to {self.genuine} (dpkg-divert)",
                    lambda: diversions.divert(str(self.virtual), str(self.genuine)),
                )
            )
        # If it was diverted before, dpkg may have installed a newer version there.
        is_newer_kept = was_diverted and not _trouble_with_genuine(self.genuine)
        if found is Program.GENUINE and not is_newer_kept:
            steps.append(Step(f"keep {self.virtual} as {self.genuine}", self._keep))
        if not is_current:
            steps.append(Step(f"put postvirt into {self.virtual}", self._put))
        return self._possible(steps)

    def uninstall(self) -> list[Step]:
        """The steps that restore the genuine program; none if it is there already."""
        found = self._expect_postfix_or_postvirt()
        steps = []
        is_diverted = self._is_diverted()
        if found is Program.LAUNCHER or (is_diverted and self.genuine.exists()):
            trouble = _trouble_with_genuine(self.genuine)
            if trouble:
                raise ConfigError(trouble, remedy=_REINSTALL)
            steps.append(
                Step(f"move {self.genuine} to {self.virtual}", self._bring_back)
            )
        elif self.genuine.exists():
            steps.append(Step(f"remove {self.genuine}", self.genuine.unlink))
        if is_diverted:
            steps.append(
                Step(
                    f"remove the diversion of {self.virtual} (dpkg-divert)",
                    lambda: diversions.end_diversion(str(self.virtual)),
                )
            )
        return self._possible(steps)

    def _possible(self, steps: list[Step]) -> list[Step]:
        """These steps; where there are none, nothing has to be writable."""
        directory = self.virtual.parent
        if steps and os.statvfs(directory).f_flag & os.ST_RDONLY:
            raise ConfigError(
                f"{directory} is on a file system that is mounted read-only",
                remedy="do this where it is writable, such as in the image of a"
                " container",
            )
        if steps and not os.access(directory, os.W_OK):
            raise ConfigError(f"{directory} is not writable", remedy="run this as root")
        return steps

    def _expect_postfix_or_postvirt(self) -> Program:
        _refuse_place_of_others(self._named)
        found = _program(self.virtual)
        if found is Program.NOTHING:
            raise ConfigError(
                f"{self.virtual} does not exist",
                remedy="install Postfix, or correct daemon_directory",
            )
        if found is Program.SOMETHING_ELSE:
            raise ConfigError(
                f"{self.virtual} is neither Postfix's virtual(8) nor postvirt",
                remedy="restore the program that came with Postfix, then try again",
            )
        if found is Program.GENUINE:
            trouble = _trouble_with_genuine(self.virtual)
            if trouble:
                raise ConfigError(trouble, remedy=_REINSTALL)
        return found

    def _is_current(self) -> bool:
        """Whether the launcher is there, and only root can change it."""
        there = regular_file(self.virtual)
        return (
            there is not None
            and there.content == self._launcher
            and not may_others_write(there.status)
        )

    def _is_diverted(self) -> bool:
        place = diversions.place_of(str(self.virtual))
        if place not in (str(self.virtual), str(self.genuine)):
            raise ConfigError(
                f"{self.virtual} is diverted to {place}, not to {self.genuine}",
                remedy="remove that diversion with dpkg-divert(1), then try again",
            )
        return place == str(self.genuine)

    def _keep(self) -> None:
        kept = self.genuine.with_name("virtual.genuine.new")
        kept.unlink(missing_ok=True)
        os.link(self.virtual, kept)
        os.rename(kept, self.genuine)
        kept.unlink(missing_ok=True)  # both were names of one file

    def _write(self) -> None:
        self._new.unlink(missing_ok=True)
        with open(self._new, "xb") as file:
            file.write(self._launcher)
            os.fchmod(file.fileno(), 0o755)
            file.flush()
            os.fsync(file.fileno())

    def _put(self) -> None:
        self._write()
        os.rename(self._new, self.virtual)

    def _bring_back(self) -> None:
        os.rename(self.genuine, self.virtual)
        self.genuine.unlink(missing_ok=True)  # both were names of one file

    def _try(self) -> None:
        self._write()
        try:
            try_launcher(self._new, self._config_directory)
        finally:
            self._new.unlink()


def carry_out(steps: Sequence[Step], *, dry_run: bool) -> bool:
    """Do and report these steps; with dry_run only report. False if there are none."""
    for step in steps:
        if not dry_run:
            step.do()
        print(shown(f"would {step.text}" if dry_run else step.text))
    return bool(steps)


def _program(path: Path) -> Program:
    """As `program_at`; symbolic links to a launcher count as something else."""
    if path.is_symlink() and program_at(path) is not Program.GENUINE:
        return Program.SOMETHING_ELSE
    return program_at(path)


def _trouble_with_genuine(path: Path) -> str:
    """Why root should not run a file as Postfix's virtual(8), "" if it may."""
    there = regular_file(path)
    if there is None or program_in(there.content) is not Program.GENUINE:
        return f"{path} is not Postfix's virtual(8)"
    if may_others_write(there.status) or not way_to(os.fsencode(path)).is_roots:
        return (
            f"users other than root can change {path} ({owner_and_mode(there.status)}),"
            " which runs as root"
        )
    return ""


def _refuse_place_of_others(virtual: Path) -> None:
    """Whoever can replace the program becomes root."""
    way = way_to(os.fsencode(virtual))
    if way.is_roots:
        return
    if way.link is not None:
        raise ConfigError(
            f"{describe_link(way.link)}: its owner would control what runs as root",
            remedy="let daemon_directory name the directory itself",
        )
    status = os.stat(way.loose)
    raise ConfigError(
        f"users other than root can replace what is in {text(way.loose)}"
        f" ({owner_and_mode(status)}), but {virtual} runs as root",
        remedy="allow only root to write to that directory, and make sure that the"
        " programs below it are Postfix's own, then try again",
    )
