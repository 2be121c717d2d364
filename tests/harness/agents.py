"""The delivery agents of a running Postfix, as /proc shows them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from postvirt.standin.instance import Instance


@dataclass(frozen=True, slots=True)
class Agent:
    """A process of the service virtual; program is the file that it executes."""

    pid: int
    parent: int
    program: str


# What the command lines of watchdog processes and workers hold.
_OF_MASTER = b"virtual\0-t\0"
OF_THE_SERVICE = b"postvirt\0start\0"


def agents(instance: Instance, command: bytes = _OF_MASTER) -> list[Agent]:
    """Watchdog processes and workers, or processes of the genuine program."""
    marker = f"MAIL_CONFIG={instance.etc}\0".encode()
    found = []
    for pid, _, parent in _processes():
        process = Path(f"/proc/{pid}")
        try:
            if (
                marker in (process / "environ").read_bytes()
                and command in (process / "cmdline").read_bytes()
            ):
                found.append(Agent(pid, parent, os.readlink(process / "exe")))
        except OSError:
            continue  # it is gone by now
    return found


def watchdogs(instance: Instance) -> list[int]:
    """The processes that master(8) started."""
    found = agents(instance)
    pids = {agent.pid for agent in found}
    return [agent.pid for agent in found if agent.parent not in pids]


def workers(instance: Instance) -> list[int]:
    """The processes that a watchdog process started."""
    found = agents(instance)
    pids = {agent.pid for agent in found}
    return [agent.pid for agent in found if agent.parent in pids]


def zombies(*parents: int) -> list[int]:
    """Processes that ended and that their parents have not waited for."""
    return [
        pid for pid, state, parent in _processes() if state == "Z" if parent in parents
    ]


def _processes() -> Iterator[tuple[int, str, int]]:
    """Process id, state and parent of everybody."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            status = Path(f"/proc/{name}/stat").read_text()
        except OSError:
            continue  # it is gone by now
        # The name in the second field may hold anything.
        state, parent, *_ = status.rpartition(")")[2].split()
        yield int(name), state, int(parent)
