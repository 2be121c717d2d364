"""MariaDB with Galera: all servers are equal, and each transaction is sent to all.

A server in a minority, or one that does not know all yet, refuses queries. Changes can
be sent to any server; `primary` is the one that gets them here.

    lag     a server that is held back applies nothing, but answers

Servers that were away are sent what they missed. Debian's scripts for this are in a
package with much more, so there is one here, which cannot send whole databases.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.cluster.laboratory import STORE
from tests.cluster.machine import Machine, run
from tests.cluster.replicated import (
    ADMINISTRATOR,
    AS_NOBODY,
    DATABASE,
    READER,
    Replicated,
    UnansweredError,
)
from tests.cluster.waiting import wait_until
from tests.harness.databases import SECRET, driver, find_program

_PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")
# A server does not answer before it has applied what the others have, when asked.
CAUSAL = "SET STATEMENT wsrep_sync_wait=1 FOR SELECT path FROM users WHERE address='%s'"
# Failures are noticed sooner than by default (5 and 15 seconds), and servers that are
# behind, too (30 seconds).
_PROVIDER_OPTIONS = {
    "gcache.size": "4M",
    "evs.keepalive_period": "PT0.2S",
    "evs.inactive_check_period": "PT0.2S",
    "evs.join_retrans_period": "PT0.2S",
    "evs.suspect_timeout": "PT2S",
    "evs.inactive_timeout": "PT6S",
    "evs.install_timeout": "PT3S",
    "gmcast.peer_timeout": "PT2S",
    "pc.recovery": "false",
    "repl.causal_read_timeout": "PT2S",
}
# The joiner has a pipe, which it names as its address; all machines see it.
_TRANSFER = """#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
    --role) role=$2 ;;
    --address) address=$2 ;;
    --datadir) pipe=$2/transfer ;;
    --gtid) position=$2 ;;
    --bypass) is_short=1 ;;
    esac
    shift
done
if [ "$role" = joiner ]; then
    [ -p "$pipe" ] || mkfifo "$pipe"
    echo "ready $pipe"
    cat "$pipe"
elif [ "$is_short" ]; then
    echo "$position" >"$address"
    echo "continue"
    echo "done $position"
else
    exit 1
fi
"""
_STATEMENTS = (
    f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    f"CREATE TABLE {DATABASE}.users (address VARCHAR(250) PRIMARY KEY, path TEXT)",
    f"CREATE USER {READER} IDENTIFIED BY '{SECRET}'",
    f"GRANT SELECT ON {DATABASE}.* TO {READER}",
    f"CREATE USER {ADMINISTRATOR} IDENTIFIED BY '{SECRET}'",
    f"GRANT ALL ON *.* TO {ADMINISTRATOR}",
)
_ANSWER_SECONDS = 10
Rows = list[tuple[str, ...]]
_POSITION = re.compile(r"Recovered position: (\S+)")


class Galera(Replicated):
    """A cluster of MariaDB servers."""

    type = "mysql"
    programs = ("mariadbd", "mariadb-install-db")

    def __init__(self, machines: Sequence[Machine]) -> None:
        super().__init__(machines)
        self._holders: dict[str, Any] = {}

    @classmethod
    def missing(cls) -> str | None:
        """Why there can be no such database here; None if there can."""
        return super().missing() or (None if _PROVIDER.exists() else "needs galera-4")

    def prepare(self, home: Path) -> None:
        """Install; the first cluster has one server, which leaves its position."""
        script = STORE / "programs" / "wsrep_sst_pipe"
        script.parent.mkdir()
        script.write_text(_TRANSFER)
        script.chmod(0o755)
        run(
            *(*AS_NOBODY, "mariadb-install-db", "--no-defaults"),
            *(f"--datadir={home}/data", "--skip-test-db", "--force"),
            "--auth-root-authentication-method=normal",
            cwd=home,
        )
        command = self._command(home, "127.0.0.1", "gcomm://", "--wsrep-new-cluster")
        with (home / "log").open("a") as log:
            server = subprocess.Popen(command, stderr=log)
        with self._root(home) as root:
            for statement in _STATEMENTS:
                root.cursor().execute(statement)
        server.terminate()
        server.wait()

    def maps(self, machine: Machine) -> str:
        """A server that is behind waits, or says so, and others are asked."""
        return self.table(machine, *self.hosts(machine), query=CAUSAL)

    def start_first(self) -> None:
        """Found the cluster."""
        self._start(self.primary, "--wsrep-new-cluster")
        self.wait_for(self.primary)

    def start_server(self, machine: Machine) -> None:
        """Join the cluster."""
        self._start(machine)

    def _start(self, machine: Machine, *more: str) -> None:
        home = self.home(machine)
        everyone = ",".join(one.address for one in self.machines)
        command = self._command(home, machine.address, f"gcomm://{everyone}", *more)
        self.spawn(machine, *command)

    def wait_for(self, machine: Machine) -> None:
        """Wait until a server is part of the majority, and knows all."""
        self._root(self.home(machine)).close()

    def wake_node(self, machine: Machine) -> None:
        """Have it go on; for a moment it does not know that the others left it out."""
        super().wake_node(machine)
        running = [one for one in self.machines if self.processes(one)]
        size = "SHOW STATUS LIKE 'wsrep_cluster_size'"
        complete: Rows = [("wsrep_cluster_size", str(len(running)))]
        for _ in range(2):  # the first may have answered before it knew
            for one in running:
                wait_until(partial(self._says, one, size, complete), f"{one.name} back")

    def _says(self, machine: Machine, query: str, rows: Rows) -> bool:
        try:
            return self.ask(machine, query) == rows
        except UnansweredError:
            return False

    def recover_node(self, machine: Machine) -> None:
        """Start a server that has ended; the others send what it missed."""
        home = self.home(machine)
        state = home / "data" / "grastate.dat"
        is_alone = not any(map(self.processes, self.machines))
        more = ["--wsrep-new-cluster"] if is_alone else []
        bootstrap = f"safe_to_bootstrap: {is_alone:d}"
        state.write_text(re.sub("safe_to_bootstrap: .", bootstrap, state.read_text()))
        if "seqno:   -1" in state.read_text():
            more.append(f"--wsrep-start-position={self._position(machine)}")
        self._start(machine, *more)
        self.wait_for(machine)

    def _position(self, machine: Machine) -> str:
        """What a server knew when it was killed."""
        command = self._command(self.home(machine), machine.address, "gcomm://")
        shell = ("sh", "-c", 'exec "$@" 2>&1', "sh")
        (position,) = _POSITION.findall(
            machine.run(*shell, *command, "--wsrep-recover")
        )
        return str(position)

    def change_primary(self) -> None:
        """End the server that changes are sent to, in good order; another gets them."""
        former = self.primary
        self.primary = next(
            one for one in self.machines if one is not former and self.processes(one)
        )
        if self.processes(former):
            self.signal(former, signal.SIGTERM)
            wait_until(lambda: not self.processes(former), f"{former.name} ended")

    def hold_back(self, machine: Machine) -> None:
        """A lock on all tables takes a server out of the flow control, too."""
        holder = self._connect(machine)
        holder.cursor().execute("FLUSH TABLES WITH READ LOCK")
        self._holders[machine.name] = holder

    def catch_up(self, machine: Machine) -> None:
        """End the lock."""
        self._holders.pop(machine.name).close()

    def ask(
        self, machine: Machine, statement: str, values: Sequence[str] = ()
    ) -> list[tuple[str, ...]]:
        """The rows that the server of a machine answers to an administrator."""
        try:
            with self._connect(machine) as one, one.cursor() as cursor:
                cursor.execute(statement, values)
                return list(cursor.fetchall())
        except driver("pymysql").MySQLError as error:
            raise UnansweredError(f"{machine.name}: {error}") from None

    def _connect(self, machine: Machine) -> Any:
        return driver("pymysql").connect(
            unix_socket=str(self.socket(machine)),
            user=ADMINISTRATOR,
            password=SECRET,
            database=DATABASE,
            autocommit=True,
            read_timeout=_ANSWER_SECONDS,
        )

    def socket(self, machine: Machine) -> Path:
        """What its own clients connect to."""
        return self.home(machine) / "sock"

    def pid_file(self, machine: Machine) -> Path:
        """The server writes it when it is ready."""
        return self.home(machine) / "pid"

    def _root(self, home: Path) -> Any:
        """A connection to a server that was started, once it is ready."""
        pymysql = driver("pymysql")
        found = []

        def is_ready() -> bool:
            login = {"unix_socket": f"{home}/sock", "user": "root"}
            try:
                root = pymysql.connect(autocommit=True, **login)
            except pymysql.MySQLError:
                return False
            with root.cursor() as cursor:
                cursor.execute("SHOW STATUS LIKE 'wsrep_ready'")
                if cursor.fetchone() == ("wsrep_ready", "ON"):
                    found.append(root)
                    return True
            root.close()
            return False

        wait_until(is_ready, f"{home} ready")
        return found[0]

    def _command(self, home: Path, address: str, others: str, *more: str) -> list[str]:
        options = ";".join(f"{k}={v}" for k, v in _PROVIDER_OPTIONS.items())
        path = os.pathsep.join([f"{STORE}/programs", os.environ["PATH"]])
        return [
            *("env", f"PATH={path}", *AS_NOBODY),
            *(find_program("mariadbd") or "", "--no-defaults"),
            f"--datadir={home}/data",
            f"--tmpdir={home}",
            f"--socket={home}/sock",
            f"--pid-file={home}/pid",
            f"--bind-address={address}",
            "--skip-name-resolve",
            "--performance-schema=OFF",
            "--innodb-buffer-pool-size=8M",
            "--innodb-log-file-size=4M",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-autoinc-lock-mode=2",
            "--binlog-format=ROW",
            "--wsrep-on=ON",
            f"--wsrep-provider={_PROVIDER}",
            f"--wsrep-provider-options={options}",
            f"--wsrep-cluster-address={others}",
            f"--wsrep-node-address={address}",
            "--wsrep-sst-method=pipe",
            *more,
        ]
