"""NFS version 4, by the kernel's server on one machine and its client on the others.

There is one copy, so while the server is gone, nothing is delivered: the clients try
again until it is back (hard mounts, the default). Then the server waits for locks that
clients had before (the grace period).

Few kernels of test machines have all of this; `scripts/other-kernel` has one that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.cluster.laboratory import STORE
from tests.cluster.machine import Machine
from tests.cluster.volume import MAIL, Volume

_CONTROL = Path("/proc/fs/nfsd")
_STATE = "/var/lib/nfs"
_EXPORTS = Path("/etc/exports")
_THREADS = "4"
# The least that the server accepts; default: 90.
_LEASE_SECONDS = "10"


class Nfs(Volume):
    """The first of the machines is the server."""

    programs = ("rpc.nfsd", "rpc.mountd", "exportfs", "mount.nfs")

    def __init__(self, nodes: Sequence[Machine]) -> None:
        super().__init__(nodes[:1])
        self._exports = STORE / "exports"

    @classmethod
    def missing(cls) -> str | None:
        """As for all volumes; the kernel has to know both sides."""
        known = Path("/proc/filesystems").read_text().split()
        lacking = [name for name in ("nfsd", "nfs4") if name not in known]
        if lacking:
            return f"{' '.join(lacking)} of the kernel (see scripts/other-kernel)"
        return super().missing()

    def start(self) -> None:
        [server] = self.nodes
        MAIL.mkdir(exist_ok=True)
        self._exported(server).mkdir()
        self._exports.write_text(
            f"{self._exported(server)} *(rw,sync,fsid=0,no_subtree_check,"
            "no_root_squash)\n"
        )
        server.mount_own(_STATE)
        self.start_node(server)

    @staticmethod
    def _exported(server: Machine) -> Path:
        return server.disk / "exported"

    def start_node(self, node: Machine) -> None:
        node.run("mount", "--bind", self._exports, _EXPORTS)
        node.run("mount", "-t", "nfsd", "nfsd", _CONTROL)
        node.run("exportfs", "-r")
        node.run("rpc.mountd", "--no-nfs-version", "3", "--no-udp")
        times = ("--lease-time", _LEASE_SECONDS, "--grace-time", _LEASE_SECONDS)
        node.run("rpc.nfsd", "--no-nfs-version", "3", *times, _THREADS)

    def fail_node(self, *nodes: Machine) -> None:
        """End the server's threads, which are the kernel's, and then the machine."""
        for node in nodes:
            node.cut()
            node.run("rpc.nfsd", "0")
        super().fail_node(*nodes)

    def mount_on(self, machine: Machine) -> Path:
        [server] = self.nodes
        options = "timeo=20,retrans=2"  # tenths of a second; default: 600
        machine.run("mount", "-t", "nfs4", "-o", options, f"{server.name}:/", MAIL)
        machine.before_kill("umount", "--force", "--lazy", MAIL)
        return MAIL

    def is_healed(self) -> bool:
        return True
