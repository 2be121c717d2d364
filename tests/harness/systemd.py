"""A systemd of its own, with no units but those of a test.

It is process 1 of its own namespaces: processes, mounts, names of hosts, networks, and
control groups below one of its own. It sees the files of the machine, and has a /run of
its own, so it shares nothing with the machine's systemd, should there be one. With its
process everything ends that it has started.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

import pytest

SYSTEMD = Path("/lib/systemd/systemd")

_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.01

# It starts, and stops, with these; the services of a test depend on them.
_TARGETS = ("basic", "sysinit", "shutdown", "exit", "test")

# $1 is the name of the control group, $2 a directory to see it in.
_IN_A_GROUP = """\
mount --make-rprivate / && mount -t cgroup2 none "$2" && mkdir "$2/$1" &&
echo $$ >"$2/$1/cgroup.procs" && exec unshare --cgroup --mount --pid --uts --net --ipc \
--fork --kill-child --mount-proc sh -ec "$3"
"""
_BEGIN = f"""\
mount -t tmpfs tmpfs /run
mount -t cgroup2 none /sys/fs/cgroup
exec {SYSTEMD} --system --unit=test.target --log-target=null --show-status=no
"""
_REMOVE_GROUP = """\
mount --make-rprivate / && mount -t cgroup2 none "$2" &&
find "$2/$1" -depth -type d -exec rmdir {} \\;
"""


class Systemd:
    """It runs from beginning to end of the block; directory is for its units."""

    def __init__(self, directory: Path) -> None:
        self._units = directory / "units"
        self._groups = directory / "groups"
        self._name = f"postvirt-test-{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        for path in (self._units, self._groups):
            path.mkdir()
        for target in _TARGETS:
            self.add_unit(f"{target}.target", "[Unit]\nDefaultDependencies=no\n")

    def add_unit(self, name: str, text: str) -> None:
        """Write a unit, or "NAME.service.d/NAME.conf" with changes of one."""
        path = self._units / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def __enter__(self) -> Self:
        environment = {
            "PATH": os.environ["PATH"],
            "container": "unshare",
            "SYSTEMD_UNIT_PATH": os.fspath(self._units),
            "SYSTEMD_GENERATOR_PATH": "/nowhere",
            "SYSTEMD_ENVIRONMENT_GENERATOR_PATH": "/nowhere",
        }
        arguments = (self._name, os.fspath(self._groups), _BEGIN)
        self._process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _IN_A_GROUP, "sh", *arguments],
            stdin=subprocess.DEVNULL,
            env=environment,
        )
        try:
            self._wait_until_it_listens(self._process)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()
        arguments = (self._name, os.fspath(self._groups))
        subprocess.run(
            ["unshare", "--mount", "sh", "-c", _REMOVE_GROUP, "sh", *arguments],
            check=True,
        )

    def systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run systemctl(1) beside it."""
        return subprocess.run(
            ["nsenter", "--all", "-t", str(self._pid), "systemctl", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
        )

    def property(self, unit: str, name: str) -> str:
        """A property of a unit, as systemctl show has it."""
        return self.systemctl("show", "--value", "-p", name, unit).stdout.strip()

    def wait_for(self, unit: str, name: str, value: str) -> None:
        """Wait until a property of a unit has this value."""
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while (now := self.property(unit, name)) != value:
            assert time.monotonic() < give_up, f"{name} is {now!r}"
            time.sleep(_LOOK_SECONDS)

    def outer_pid(self, inner: str) -> int:
        """The process id outside of one inside."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                status = (process / "status").read_text()
                space = os.readlink(process / "ns/pid")
            except OSError:
                continue  # it is gone by now
            if space == os.readlink(f"/proc/{self._pid}/ns/pid"):
                (line,) = [one for one in status.splitlines() if "NSpid:" in one]
                if line.split()[-1] == inner:
                    return int(process.name)
        raise ProcessLookupError(inner)

    def _wait_until_it_listens(self, process: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while True:
            found = children.read_text().split()
            if found:
                self._pid = int(found[0])
                if self.systemctl("is-active", "test.target").stdout == "active\n":
                    return
            assert process.poll() is None, "systemd does not start"
            assert time.monotonic() < give_up, "systemd does not start"
            time.sleep(_LOOK_SECONDS)


def skip_without_systemd() -> None:
    """It has to be there, and so do the rights to give it namespaces."""
    if not SYSTEMD.exists() or not shutil.which("nsenter"):
        pytest.skip("systemd is not installed")
    if "cgroup2" not in Path("/proc/filesystems").read_text():
        pytest.skip("the kernel has no control groups of version 2")
    command = ["unshare", "--mount", "--pid", "--uts", "--net", "--ipc", "--cgroup"]
    if subprocess.run([*command, "--fork", "true"], check=False).returncode:
        pytest.skip("this process may not have namespaces")
