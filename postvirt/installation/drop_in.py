"""Put the launcher in the place of the genuine virtual, and bring that one back.

The genuine program is kept beside it as virtual.genuine. If it belongs to a package of
dpkg's it is diverted, so that an upgrade puts the new version there, too. Elsewhere an
upgrade puts it back in its own place, and has to be followed by another installation.

The launcher is a file and not a link: postfix(1) warns of links that leave the
directory, and security labels belong to files. It is tried before it is put in place.

At every moment there is a program that works under the name `virtual`: files change
places by link(2) and rename(2). Whatever interrupts a change, doing it again, or
undoing it, ends well.

Raises: ConfigError for what has to be put right first; OSError.
Security: the launcher runs as root, so it does not look for modules in the directory in
which it lies.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from postvirt.errors import ConfigError
from postvirt.installation import diversions
from postvirt.installation.programs import Program, content_of, program_at
from postvirt.system.log import errno_text

_LAUNCHER = """\
#!{python} -P
# Put here by `postvirt install`. `postvirt uninstall` brings back virtual.genuine.
import sys

from postvirt.server.launcher import main

sys.exit(main())
"""

_PATIENCE_SECONDS = 60

# Where the kernel says what confines processes.
_SELINUX = Path("/sys/fs/selinux/enforce")
_APPARMOR = Path("/sys/kernel/security/apparmor/profiles")


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do, and the words for it."""

    text: str
    do: Callable[[], None]


class DropIn:
    """The places below one daemon_directory.

    config_directory is that of the main.cf with which the launcher is tried.
    """

    def __init__(self, daemon_directory: str, config_directory: str) -> None:
        # dpkg knows files by the names that its packages give them, without links.
        self.virtual = Path(os.path.realpath(daemon_directory), "virtual")
        self.genuine = self.virtual.with_name("virtual.genuine")
        self._new = self.virtual.with_name("virtual.new")
        self._config_directory = config_directory
        self._launcher = os.fsencode(_LAUNCHER.format(python=sys.executable))

    def install(self) -> list[Step]:
        """What is to be done so that the launcher is in place; nothing if it is."""
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
        # When it was diverted before, dpkg may have put a newer one there.
        if found is Program.GENUINE and not (was_diverted and self.genuine.exists()):
            steps.append(Step(f"keep {self.virtual} as {self.genuine}", self._keep))
        if not is_current:
            steps.append(Step(f"put postvirt into {self.virtual}", self._put))
        return steps

    def uninstall(self) -> list[Step]:
        """What is to be done so that the genuine program is back; nothing if it is."""
        found = self._expect_postfix_or_postvirt()
        steps = []
        is_diverted = self._is_diverted()
        if found is Program.LAUNCHER or (is_diverted and self.genuine.exists()):
            if _program(self.genuine) is not Program.GENUINE:
                raise ConfigError(
                    f"{self.genuine} is not Postfix's virtual(8)",
                    remedy="install Postfix again, then repeat this",
                )
            steps.append(
                Step(f"move {self.genuine} to {self.virtual}", self._bring_back)
            )
        elif self.genuine.exists():
            steps.append(Step(f"remove {self.genuine}", self.genuine.unlink))
        if is_diverted:
            steps.append(
                Step(
                    f"end the diversion of {self.virtual} (dpkg-divert)",
                    lambda: diversions.end_diversion(str(self.virtual)),
                )
            )
        return steps

    def _expect_postfix_or_postvirt(self) -> Program:
        found = _program(self.virtual)
        if found is Program.NOTHING:
            raise ConfigError(
                f"{self.virtual} does not exist",
                remedy="Postfix has to be installed; daemon_directory says where",
            )
        if found is Program.SOMETHING_ELSE:
            raise ConfigError(
                f"{self.virtual} is neither Postfix's virtual(8) nor postvirt",
                remedy="put back what Postfix came with, then repeat this",
            )
        if not os.access(self.virtual.parent, os.W_OK):
            raise ConfigError(
                f"{self.virtual.parent} cannot be written to", remedy="do this as root"
            )
        return found

    def _is_diverted(self) -> bool:
        place = diversions.place_of(str(self.virtual))
        if place not in (str(self.virtual), str(self.genuine)):
            raise ConfigError(
                f"{self.virtual} is diverted to {place}, not to {self.genuine}",
                remedy="see dpkg-divert(1) for how to end that, then repeat this",
            )
        return place == str(self.genuine)

    def _keep(self) -> None:
        kept = self.genuine.with_name("virtual.genuine.new")
        kept.unlink(missing_ok=True)
        os.link(self.virtual, kept)
        os.rename(kept, self.genuine)
        kept.unlink(missing_ok=True)  # they were two names of one file already

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
        self.genuine.unlink(missing_ok=True)  # they were two names of one file already

    def _try(self) -> None:
        self._write()
        try:
            _serve_nobody(self._new, self._config_directory)
        finally:
            self._new.unlink()


def _serve_nobody(launcher: Path, config_directory: str) -> None:
    """Have the launcher serve a client who hangs up at once."""
    does_not_start = f"postvirt does not start from {launcher.parent}"
    try:
        done = subprocess.run(
            [launcher, "-S", "-V", "-n", "virtual"],
            input=b"",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            timeout=_PATIENCE_SECONDS,
            env={"MAIL_CONFIG": config_directory, "LANG": "C"},
        )
    except OSError as error:
        raise ConfigError(
            f"{does_not_start}: {errno_text(error)}",
            remedy=f"{sys.executable} has to exist, without blanks in its name, and "
            "neither may be on a file system that is mounted noexec",
        ) from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{does_not_start}: it hangs") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise ConfigError(f"{does_not_start}: {said}", remedy="see check-config")


def take(steps: Sequence[Step], *, dry_run: bool) -> bool:
    """Go these steps and say so; with dry_run only say so. False if there are none."""
    for step in steps:
        if not dry_run:
            step.do()
        print(f"would {step.text}" if dry_run else step.text)
    return bool(steps)


def hints(virtual: Path) -> Iterator[str]:
    """What the machine may have against the launcher."""
    for path in (sys.executable, __file__):
        status = os.stat(path)
        if status.st_uid != 0 or status.st_mode & 0o022:
            yield f"{path} runs as root, but others than root can change it"
    if content_of(_SELINUX).strip() == b"1":
        yield (
            f"SELinux is enforcing: run restorecon -v {virtual}, and if mail stays in "
            "the queue, look for what it denied with ausearch -m avc -ts recent"
        )
    for line in content_of(_APPARMOR).decode(errors="replace").splitlines():
        name, _, mode = line.rpartition(" ")
        if name.endswith(("/virtual", "-virtual", ",}virtual")) and mode == "(enforce)":
            yield (
                f"AppArmor confines virtual by the profile {name}: allow it Python and "
                f"{Path(__file__).parents[1]}, or disable it with aa-disable"
            )


def _program(path: Path) -> Program:
    """What lies under a name; links count as something else."""
    if path.is_symlink() and program_at(path) is not Program.GENUINE:
        return Program.SOMETHING_ELSE
    return program_at(path)
