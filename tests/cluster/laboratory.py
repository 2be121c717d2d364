"""Machines on one network, in namespaces that go with the process that made them.

`inside_laboratory` runs a command as the first process of a PID namespace of its own,
with its own mounts and network. Whatever ends it, even SIGKILL, ends everything: the
kernel kills all processes in there, and with them go the machines, their network, and
all mounts. What they write is below `STORE`, a tmpfs that only they see; so is their
shared memory, which servers that are killed do not remove.

Needs root. Raises: subprocess.CalledProcessError with what a command has said.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.machine import NAMESPACES, Machine, run

# Where machines keep everything; an empty directory outside.
STORE = Path("/srv")

_SHARED_MEMORY = "/dev/shm"
_NETWORK = "10.77.0"
_BRIDGE = "bridge"


def inside_laboratory(command: Sequence[str]) -> list[str]:
    """The command that runs this one where `Laboratory` may be used.

    It ends with the thread that starts it, since unshare(1) ignores SIGTERM.
    """
    return ["setpriv", "--pdeathsig", "KILL", "--", *NAMESPACES, *command]


class Laboratory:
    """The network; machines by name."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self._numbers = itertools.count(1)

    def add(self, name: str) -> Machine:
        """Start a machine, and connect it to the others, who know it by its name."""
        address = f"{_NETWORK}.{next(self._numbers)}"
        machine = Machine(name, address, _BRIDGE, STORE / name)
        self.machines[name] = machine
        self._tell_all()
        machine.start()
        return machine

    def split(self, *minority: Machine) -> None:
        """Nobody else reaches these machines, nor do they reach each other."""
        for machine in minority:
            machine.cut()

    def _tell_all(self) -> None:
        lines = ["127.0.0.1 localhost"]
        lines += [f"{one.address} {one.name}" for one in self.machines.values()]
        (STORE / "hosts").write_text("".join(f"{line}\n" for line in lines))


@contextmanager
def laboratory() -> Iterator[Laboratory]:
    """The network without machines yet; inside `inside_laboratory` only."""
    assert os.getpid() == 1, "see inside_laboratory"
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", STORE)
    run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", _SHARED_MEMORY)
    (STORE / "hosts").touch()
    run("mount", "--bind", STORE / "hosts", "/etc/hosts")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", _BRIDGE, "type", "bridge")
    run("ip", "link", "set", _BRIDGE, "up")
    run("ip", "address", "add", f"{_NETWORK}.254/24", "dev", _BRIDGE)
    made = Laboratory()
    try:
        yield made
    finally:
        # The first ones may be servers, and who uses them cannot end without them.
        for machine in reversed(made.machines.values()):
            machine.kill()
        run("ip", "link", "delete", _BRIDGE)
        run("umount", "--lazy", "/etc/hosts", _SHARED_MEMORY, STORE)


def missing() -> str | None:
    """Why there can be no laboratory here; None if there can."""
    if os.geteuid() != 0:
        return "needs root"
    probe = "ip link add one type bridge && ip link add two type veth peer name three"
    done = subprocess.run(
        inside_laboratory(["sh", "-c", probe]), capture_output=True, check=False
    )
    return None if done.returncode == 0 else "needs namespaces, bridge and veth"
