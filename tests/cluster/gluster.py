"""A volume of GlusterFS with a copy on each of its machines, three as a rule.

A write counts when more than half of the machines have done it (the quorum), and fails
otherwise with EROFS (a change) or ENOTCONN (whatever else). A machine that was gone
receives what it has missed from the others.

The programs, and what they believe, are Debian's (glusterfs-server); what is said here
is what no administrator can do without.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.cluster.laboratory import STORE
from tests.cluster.machine import Argument, Machine
from tests.cluster.own_disk import disk_of, mount_disk
from tests.cluster.volume import MAIL, Volume
from tests.cluster.waiting import wait_until

_NAME = "mail"
_RUN = Path("/run/gluster")
_SOCKET = _RUN / "glusterd.socket"
_OWN = ("/var/lib/glusterd", "/var/log/glusterfs")
# By their numbers, on each copy.
_UNHEALED = ".glusterfs/indices/xattrop"
_CONNECTIONS = ".meta/graphs/active/*-client-*/private"
# Its programs share a machine with all others.
_HEALING_SECONDS = 180.0
_LOG_LINES = 10
_CONFIGURATION = STORE / "glusterd.vol"
# Geo-replication is not used, and would be asked ten times at each start, in Python.
_STUB = "#!/bin/sh\necho gsyncd 10.3\n"

OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "cluster.quorum-type": "auto",
        # A machine that was cut off is missed after so many seconds; default: 42.
        "network.ping-timeout": "5",
        # What is not up to date is looked for so often, in seconds; default: 600.
        "cluster.heal-timeout": "10",
        # Otherwise a call whose file could not be opened is never answered, and the
        # process hangs for good (10.3, "Failed to submit fop").
        "performance.open-behind": "off",
    }
)


class Gluster(Volume):
    """The volume; options are those of the volume, as `gluster volume set` has them."""

    programs = ("glusterd", "glusterfsd", "gluster", "mount.glusterfs")

    def __init__(
        self, nodes: Sequence[Machine], options: Mapping[str, str] = OPTIONS
    ) -> None:
        super().__init__(nodes)
        self.options = options
        self._with_own: set[str] = set()
        self._users: list[Machine] = []

    def start(self) -> None:
        given = Path("/etc/glusterfs/glusterd.vol").read_text()
        socket = f"    option glusterd-sockfile {_SOCKET}\nend-volume"
        _CONFIGURATION.write_text(given.replace("end-volume", socket))
        MAIL.mkdir(exist_ok=True)
        for node in self.nodes:
            self._give_own(node)
            self.start_node(node)
        first, *others = self.nodes
        for node in others:
            self._gluster(first, "peer", "probe", node.name)
        bricks = [f"{node.name}:{self.brick(node)}" for node in self.nodes]
        copies = f"{len(bricks)}"
        create = ("volume", "create", _NAME, "replica", copies, *bricks, "force")
        wait_until(lambda: self._works(first, *create), "volume created")
        settings = [text for option in self.options.items() for text in option]
        self._gluster(first, "volume", "set", _NAME, *settings)
        self._gluster(first, "volume", "start", _NAME)
        for node in self.nodes:  # as after a few seconds
            node.run("sync", "--file-system", disk_of(node))

    def brick(self, node: Machine) -> Path:
        """Where a machine keeps its copy."""
        return disk_of(node) / "brick"

    def mount_on(self, machine: Machine) -> Path:
        self._give_own(machine)
        first, *others = (node.name for node in self.nodes)
        backups = f"backup-volfile-servers={':'.join(others)}"
        machine.run("mount", "-t", "glusterfs", "-o", backups, f"{first}:{_NAME}", MAIL)
        if machine not in self._users:
            self._users.append(machine)
        return MAIL

    def start_node(self, node: Machine) -> None:
        mount_disk(node)
        node.run("mount", "-t", "tmpfs", "tmpfs", _RUN)
        _without_geo_replication(node)
        node.run("glusterd", "-f", _CONFIGURATION, "-p", _RUN / "glusterd.pid")

    def is_healed(self) -> bool:
        return self._is_whole() and not self.unhealed()

    def wait_until_healed(self) -> float:
        """Wait until all that is behind now has been brought up to date: seconds.

        While mail comes, something always is, for the moment of its writing.
        """
        behind = self.unhealed()

        def is_over() -> bool:
            behind.intersection_update(self.unhealed())
            return self._is_whole() and not behind

        return wait_until(is_over, "healed", _HEALING_SECONDS)

    def unhealed(self) -> set[str]:
        """The files and directories that have to be brought up to date somewhere."""
        return {name for node in self.nodes for name in self._unhealed_on(node)}

    def _unhealed_on(self, node: Machine) -> list[str]:
        names = node.run("ls", self.brick(node) / _UNHEALED).split()
        return [name for name in names if not name.startswith("xattrop")]

    def situation(self) -> str:
        told = []
        for node in self.nodes:
            has_brick = node.is_running and self._has_brick(node)
            behind = " ".join(self._unhealed_on(node)) if node.is_running else ""
            told.append(f"{node.name}: serves {has_brick}, knows of unhealed {behind}")
            log = node.disk / "own" / "var/log/glusterfs/glusterd.log"
            told += log.read_text().splitlines()[-_LOG_LINES:]
        for machine in self._users:
            told.append(f"{machine.name}: sees all {self._sees_all(machine)}")
        return "\n".join(told)

    def _is_whole(self) -> bool:
        return all(self._has_brick(node) for node in self.nodes) and all(
            self._sees_all(machine) for machine in self._users
        )

    def _has_brick(self, node: Machine) -> bool:
        return node.is_running and bool(
            node.run("find", _RUN / "vols", "-name", "*.pid")
        )

    def _sees_all(self, machine: Machine) -> bool:
        """Whether a machine that is there is connected with all that keep a copy."""
        if not machine.is_running:
            return True
        said = machine.run("sh", "-c", f"cat {MAIL}/{_CONNECTIONS} || true")
        return said.count("connected = 1") == len(self.nodes)

    def _give_own(self, machine: Machine) -> None:
        if machine.name not in self._with_own:
            self._with_own.add(machine.name)
            for directory in _OWN:
                machine.mount_own(directory)

    def _gluster(self, node: Machine, *command: Argument) -> str:
        options = ("--mode=script", f"--glusterd-sock={_SOCKET}")
        return node.run("gluster", *options, *command)

    def _works(self, node: Machine, *command: Argument) -> bool:
        try:
            self._gluster(node, *command)
        except subprocess.CalledProcessError:
            return False
        return True


def _without_geo_replication(node: Machine) -> None:
    stub = STORE / "gsyncd"
    stub.write_text(_STUB)
    stub.chmod(0o755)
    for path in Path("/usr/lib").glob("*/glusterfs/gsyncd"):
        node.run("mount", "--bind", stub, path)
