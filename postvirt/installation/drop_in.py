"""Put the launcher in the place of the genuine virtual, and restore that one.

The genuine program is kept beside it as virtual.genuine. If a dpkg package owns it, it
is diverted, so that an upgrade installs the new version there, too. Elsewhere an
upgrade replaces the launcher, which then has to be installed again.

At every moment a working program has the name `virtual`: files change places by link(2)
and rename(2). Whatever interrupts a change, repeating or undoing it ends well.

Raises: ConfigError for what must be corrected first; OSError.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from postvirt.errors import ConfigError
from postvirt.installation import diversions
from postvirt.installation.launcher_script import launcher_script, try_launcher
from postvirt.installation.programs import (
    Program,
    content_of,
    kept_genuine,
    program_at,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step, and the words for it."""

    text: str
    do: Callable[[], None]


class DropIn:
    """The programs in one daemon_directory.

    config_directory contains the main.cf with which the launcher is tried.
    """

    def __init__(self, daemon_directory: str, config_directory: str) -> None:
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
        is_current = content_of(self.virtual) == self._launcher
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
        if found is Program.GENUINE and not (was_diverted and self.genuine.exists()):
            steps.append(Step(f"keep {self.virtual} as {self.genuine}", self._keep))
        if not is_current:
            steps.append(Step(f"put postvirt into {self.virtual}", self._put))
        return steps

    def uninstall(self) -> list[Step]:
        """The steps that restore the genuine program; none if it is there already."""
        found = self._expect_postfix_or_postvirt()
        steps = []
        is_diverted = self._is_diverted()
        if found is Program.LAUNCHER or (is_diverted and self.genuine.exists()):
            if _program(self.genuine) is not Program.GENUINE:
                raise ConfigError(
                    f"{self.genuine} is not Postfix's virtual(8)",
                    remedy="reinstall Postfix, then try again",
                )
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
        return steps

    def _expect_postfix_or_postvirt(self) -> Program:
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
        if not os.access(self.virtual.parent, os.W_OK):
            raise ConfigError(
                f"{self.virtual.parent} is not writable", remedy="run this as root"
            )
        return found

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
        print(f"would {step.text}" if dry_run else step.text)
    return bool(steps)


def _program(path: Path) -> Program:
    """As `program_at`; symbolic links to a launcher count as something else."""
    if path.is_symlink() and program_at(path) is not Program.GENUINE:
        return Program.SOMETHING_ELSE
    return program_at(path)
