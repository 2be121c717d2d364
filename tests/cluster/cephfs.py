"""A volume of CephFS: a monitor, a store and a metadata server on each of its machines.

A write counts when all stores that are up have it on their disks, at least two. While
there are fewer, or a machine that is gone is not missed yet, calls do not fail: they do
not return. Needs a gigabyte of memory, and most of a minute to start.

The programs, and what they believe, are Debian's (ceph-mon, ceph-osd, ceph-mds,
ceph-mgr, ceph-fuse); what is said here is what has to be said, and shorter times.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cluster.laboratory import STORE
from tests.cluster.machine import Argument, Machine, run
from tests.cluster.own_disk import disk_of, mount_disk
from tests.cluster.volume import MAIL, Volume

_CONFIGURATION = STORE / "ceph.conf"
_MAP = STORE / "monmap"
_LOGS = STORE / "ceph-logs"
_POOLS = ("metadata", "data")
_ANSWER_SECONDS = 10.0
_SILENT: dict[str, Any] = {
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.DEVNULL,
    "stderr": subprocess.DEVNULL,
}

# The last ones are shorter than usual: 20, 15, 30 and 60 seconds.
_TEXT = """\
[global]
fsid = {fsid}
mon_host = {addresses}
mon_initial_members = {names}
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
run_dir = {store}/$host
admin_socket = {store}/$host/$name.$pid.asok
pid_file = {store}/$host/$name.pid
log_file = {logs}/$host.$name.log
mon_data = {store}/$host/mounted/mon
osd_data = {store}/$host/mounted/osd
mds_data = {store}/$host
mgr_data = {store}/$host
mgr_initial_modules =
osd_pool_default_size = 3
osd_pool_default_min_size = 2
osd_pool_default_pg_autoscale_mode = off
osd_memory_target = 939524096
bluestore_block_size = 1073741824
mon_data_avail_warn = 1
mon_data_avail_crit = 1
client_reconnect_stale = true
osd_heartbeat_interval = 1
osd_heartbeat_grace = 5
mds_beacon_grace = 5
mon_mgr_beacon_grace = 5
mds_session_timeout = 10
"""


class CephFS(Volume):
    """The volume."""

    programs = ("ceph", "ceph-mon", "ceph-osd", "ceph-mds", "ceph-mgr", "ceph-fuse")

    def __init__(self, nodes: Sequence[Machine]) -> None:
        super().__init__(nodes)
        self._fsid = str(uuid.uuid4())

    def start(self) -> None:
        MAIL.mkdir(exist_ok=True)
        _LOGS.mkdir()
        known = {
            "fsid": self._fsid,
            "addresses": ",".join(node.address for node in self.nodes),
            "names": ",".join(node.name for node in self.nodes),
            "logs": _LOGS,
            "store": STORE,
        }
        _CONFIGURATION.write_text(_TEXT.format(**known))
        self._make_monitors()
        self._make_stores()
        for node in self.nodes:
            self._start(node, "ceph-mds", node.name)
        for pool in _POOLS:
            self._ceph("osd", "pool", "create", pool, "8")
        self._ceph("fs", "new", "mail", *_POOLS)
        self.wait_until_healed()

    def mount_on(self, machine: Machine) -> Path:
        mount = machine.command("ceph-fuse", "-c", _CONFIGURATION, MAIL)
        subprocess.run(mount, check=True, **_SILENT)
        return MAIL

    def start_node(self, node: Machine) -> None:
        mount_disk(node)
        self._start(node, "ceph-mon", node.name)
        self._start(node, "ceph-mgr", node.name)
        self._start(node, "ceph-osd", str(self.nodes.index(node)))
        self._start(node, "ceph-mds", node.name)

    def is_healed(self) -> bool:
        try:
            said: dict[str, Any] = json.loads(self._ceph("-s", "-f", "json"))
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return False
        states = said["pgmap"]["pgs_by_state"]
        return (
            len(said["quorum"]) == said["osdmap"]["num_up_osds"] == len(self.nodes)
            and [state["state_name"] for state in states] == ["active+clean"]
            and all(one["status"] == "up:active" for one in said["fsmap"]["by_rank"])
            and bool(said["fsmap"]["by_rank"])
        )

    def _make_monitors(self) -> None:
        places = []
        for node in self.nodes:
            mount_disk(node)
            node.run("mkdir", disk_of(node) / "mon", disk_of(node) / "osd")
            place = f"[v2:{node.address}:3300,v1:{node.address}:6789]"
            places += ["--addv", node.name, place]
        run("monmaptool", "--create", "--fsid", self._fsid, *places, _MAP)
        for node in self.nodes:
            make = ("--mkfs", "-i", node.name, "--monmap", _MAP)
            node.run("ceph-mon", "-c", _CONFIGURATION, *make)
            self._start(node, "ceph-mon", node.name)

    def _make_stores(self) -> None:
        making = []
        for node in self.nodes:
            store = str(uuid.uuid4())
            number = self._ceph("osd", "new", store).strip()
            make = ("-i", number, "--mkfs", "--osd-uuid", store)
            command = ("ceph-osd", "-c", _CONFIGURATION, *make)
            making.append((node, number, node.spawn(*command, **_SILENT)))
        for node, number, one in making:
            assert one.wait() == 0
            self._start(node, "ceph-osd", number)
            self._start(node, "ceph-mgr", node.name)

    def _start(self, node: Machine, program: str, name: str) -> None:
        # Most of them wait for the monitors before they go to the background.
        node.spawn(program, "-f", "-c", _CONFIGURATION, "-i", name, **_SILENT)

    def _ceph(self, *command: Argument) -> str:
        timeout = f"--connect-timeout={_ANSWER_SECONDS:.0f}"
        return run("ceph", "-c", _CONFIGURATION, timeout, *command, timeout=60.0)
