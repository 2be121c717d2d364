"""One machine: its own processes, mounts, network and host name.

`kill` is pulling its plug: all its processes are gone at once. What it has on its disk,
below `disk`, is there when it starts again. It shares the programs, /etc and all else
with the others; `mount_own` gives it a directory of its own.

Raises: subprocess.CalledProcessError with what a command has said; TimeoutError when a
machine does not end.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.cluster.waiting import wait_until

# Reaps what its children leave behind.
_INIT = "trap : CHLD; while :; do sleep infinity & wait $!; done"
# Its own, all of which go with its first process.
NAMESPACES = (
    *("unshare", "--mount", "--propagation", "private", "--net", "--uts", "--ipc"),
    *("--pid", "--fork", "--kill-child", "--mount-proc", "--"),
)
_START_SECONDS = 10.0

Argument = str | os.PathLike[str]


class Machine:
    """A machine, from `start` to `kill`, any number of times.

    disk    what is on it survives
    """

    def __init__(self, name: str, address: str, bridge: str, disk: Path) -> None:
        self.name = name
        self.address = address
        self.disk = disk
        self._bridge = bridge
        self._cable = f"to-{name}"[:15]
        # The same after each start: the others remember it for half a minute.
        self._card = f"02:00:00:00:00:{int(address.rpartition('.')[2]):02x}"
        self._init: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._own: list[str] = []
        self._last_words: list[tuple[Argument, ...]] = []
        disk.mkdir(exist_ok=True)

    @property
    def is_running(self) -> bool:
        """Whether it has been started and not killed."""
        return self._init is not None

    def seen(self, path: Argument) -> Path:
        """A path as this machine sees it, with what it has mounted there."""
        return Path(f"/proc/{self._pid}/root/{os.fspath(path)}")

    def start(self) -> None:
        """Start it, connected, without any services."""
        assert self._init is None
        self._init = subprocess.Popen(
            [*NAMESPACES, "bash", "-c", _INIT],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # unshare complains when it is killed
        )
        self._pid = _only_child(self._init.pid)
        cable, pid = self._cable, str(self._pid)
        run(
            *("ip", "link", "add", cable, "type", "veth"),
            *("peer", "name", "eth0", "address", self._card, "netns", pid),
        )
        run("ip", "link", "set", cable, "master", self._bridge, "up")
        self.run("hostname", self.name)
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        for directory in self._own:
            self._mount_own(directory)

    def kill(self) -> None:
        """End all its processes at once; its memory and mounts are lost.

        The others do not notice: what still would be sent, such as the end of a
        connection, is not.
        """
        init = self._init
        if init is None:
            return
        while self._last_words:
            with suppress(subprocess.SubprocessError):
                self.run(*self._last_words.pop())
        run("ip", "link", "delete", self._cable)
        os.kill(self._pid, signal.SIGKILL)
        wait_until(lambda: _has_ended(init), f"{self.name} has ended")
        self._init = None

    def before_kill(self, *command: Argument) -> None:
        """What to do there first: the kernel lives on, and may wait for something."""
        self._last_words.append(command)

    def cut(self) -> None:
        """Pull the cable: packets are lost, connections do not notice."""
        run("ip", "link", "set", self._cable, "down")

    def reconnect(self) -> None:
        """Plug it in again."""
        run("ip", "link", "set", self._cable, "up")

    def mount_own(self, directory: str) -> Path:
        """Give it a directory of its own, on its disk, now and after each start."""
        self._own.append(directory)
        return self._mount_own(directory)

    def _mount_own(self, directory: str) -> Path:
        own = self.disk / "own" / directory.strip("/")
        own.mkdir(parents=True, exist_ok=True)
        Path(directory).mkdir(parents=True, exist_ok=True)
        self.run("mount", "--bind", own, directory)
        return own

    def command(self, *command: Argument) -> list[str]:
        """What runs this command there."""
        flags = ("--mount", "--net", "--uts", "--ipc", "--pid")
        return ["nsenter", "--target", str(self._pid), *flags, "--", *map(str, command)]

    def run(self, *command: Argument, **options: Any) -> str:
        """Run a command there; what it says on its standard output.

        One that leaves a process behind has to redirect that one's output.
        """
        return run(*self.command(*command), **options)

    def spawn(self, *command: Argument, **options: Any) -> subprocess.Popen[str]:
        """Start a command there, which goes with the machine."""
        return subprocess.Popen(self.command(*command), text=True, **options)


def run(*command: Argument, timeout: float = 60.0, **options: Any) -> str:
    """Run a command; what it says on its standard output."""
    try:
        done = subprocess.run(
            list(map(str, command)),
            capture_output=True,
            text=True,
            check=True,
            timeout=timeout,
            **options,
        )
    except subprocess.CalledProcessError as error:
        error.add_note(f"{error.stdout}{error.stderr}")
        raise
    return done.stdout


def state_of(pid: int) -> str:
    """What a process does: "T" if it is stopped, "Z" if its parent has not heard."""
    try:
        known = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return known.rpartition(") ")[2][:1]


def _has_ended(init: subprocess.Popen[bytes]) -> bool:
    """Whether a machine has: when all there have ended, and their parents know."""
    _wake_parents()
    _reap_orphans()
    return init.poll() is not None


def _wake_parents() -> None:
    """Have nsenter(1), which stops when its child does, hear of its child's end."""
    for child in _children("self"):
        if state_of(child) == "T" and "Z" in map(state_of, _children(child)):
            os.kill(child, signal.SIGCONT)


def _reap_orphans() -> None:
    """Wait for what nsenter(1) has started there, if that was killed: nobody does."""
    for child in _children("self"):
        status = Path(f"/proc/{child}/status").read_text()
        [numbers] = re.findall(r"^NSpid:(.*)", status, re.MULTILINE)
        if len(numbers.split()) > 1:
            os.waitpid(child, os.WNOHANG)


def _children(pid: int | str) -> list[int]:
    """The children of a process."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(number) for one in lists for number in one.read_text().split()]


def _only_child(pid: int) -> int:
    """The process that unshare(1) has started, once it has."""
    end = time.monotonic() + _START_SECONDS
    while True:
        for child in _children(pid):
            return child
        assert time.monotonic() < end, "unshare has not started"
        time.sleep(0.005)
