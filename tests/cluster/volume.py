"""A volume for mailboxes that some machines keep a copy of each.

`start` makes it, on all machines that keep it; any machine can use it (`mount_on`).
What it consists of is on the disks of its machines: it survives `fail_node`, which cuts
the power of one of them, and is brought up to date after `recover_node`.

Raises: subprocess.CalledProcessError and TimeoutError.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.cluster.laboratory import STORE
from tests.cluster.machine import Machine
from tests.cluster.own_disk import lose_caches
from tests.cluster.waiting import wait_until
from tests.harness.databases import find_program

# Where machines see it.
MAIL = STORE / "mail"


class Volume(ABC):
    """The machines that keep it; a kind of volume says how.

    programs    what it needs
    """

    programs: ClassVar[Sequence[str]]

    def __init__(self, nodes: Sequence[Machine]) -> None:
        self.nodes = list(nodes)

    @classmethod
    def missing(cls) -> str | None:
        """Why there can be no such volume here; None if there can."""
        lacking = [name for name in cls.programs if not find_program(name)]
        if not Path("/dev/fuse").exists():
            lacking.append("/dev/fuse")
        return " ".join(lacking) or None

    @abstractmethod
    def start(self) -> None:
        """Make it, and start all servers."""

    @abstractmethod
    def mount_on(self, machine: Machine) -> Path:
        """Have a machine use it; the path is the same on all of them."""

    def fail_node(self, *nodes: Machine) -> None:
        """Cut the power of machines at once; the caches of their disks are lost."""
        lose_caches(nodes)
        for node in nodes:
            node.kill()

    def recover_node(self, node: Machine) -> None:
        """Start a machine again, unless it runs, and its servers."""
        if not node.is_running:
            node.start()
        self.start_node(node)

    @abstractmethod
    def start_node(self, node: Machine) -> None:
        """Start the servers of a machine that has been started."""

    @abstractmethod
    def is_healed(self) -> bool:
        """Whether all machines that keep it have the same."""

    def situation(self) -> str:
        """What its servers say about it."""
        return ""

    def wait_until_healed(self) -> float:
        """Wait until all machines that keep it have the same: seconds."""
        return wait_until(self.is_healed, "healed")
