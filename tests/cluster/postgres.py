"""PostgreSQL: one primary that is changed, and standbys that follow it and answer, too.

The standbys follow without being waited for, so each may be behind (Debian's default).

    lag                 a standby that is held back receives all, and applies nothing
    change of primary   a standby is promoted; the others, and the former primary when
                        it is started again, follow that one
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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

_ACCESS = """local all all trust
host all all all scram-sha-256
host replication all all trust
"""
_SETTINGS = {
    "listen_addresses": "*",
    "fsync": "off",
    "shared_buffers": "4MB",
    "wal_level": "replica",
    "max_wal_senders": "10",
    "wal_keep_size": "64MB",
    "min_wal_size": "32MB",
    "wal_receiver_timeout": "3s",
    "wal_sender_timeout": "3s",
    "wal_retrieve_retry_interval": "200ms",
    "hot_standby": "on",
    "autovacuum": "off",
}
_STATEMENTS = (
    f"CREATE USER {READER} PASSWORD '{SECRET}'",
    "CREATE TABLE users (address text PRIMARY KEY, path text)",
    f"GRANT SELECT ON users TO {READER}",
)


class Postgres(Replicated):
    """A primary and its standbys."""

    type = "pgsql"
    programs = ("postgres", "initdb", "pg_basebackup")

    def maps(self, machine: Machine) -> str:
        """What no standby knows, the primary is asked, whichever that is."""
        hosts = self.hosts(machine)
        near = self.table(machine, *hosts, name="near")
        dbname = f"dbname={DATABASE} target_session_attrs=primary"
        return f"{near}, {self.table(machine, *hosts, name='primary', dbname=dbname)}"

    def prepare(self, home: Path) -> None:
        """Make a cluster of databases."""
        data = home / "data"
        run(
            *(*AS_NOBODY, _program("initdb"), "-D", data, "-U", ADMINISTRATOR),
            *("-A", "trust", "-N", "--no-instructions", "-E", "UTF8", "--locale", "C"),
            cwd=home,
        )
        (data / "pg_hba.conf").write_text(_ACCESS)
        settings = "".join(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
        (data / "postgresql.conf").write_text(settings)
        self._single(home, "postgres", f"CREATE DATABASE {DATABASE}")
        self._single(home, DATABASE, *_STATEMENTS)

    def _single(self, home: Path, database: str, *statements: str) -> None:
        run(
            *(*AS_NOBODY, _program("postgres"), "--single", "-D", home / "data"),
            database,
            cwd=home,
            input="".join(f"{statement};\n" for statement in statements),
        )

    def start_first(self) -> None:
        """Start the primary."""
        self._start(self.primary)
        self._wait_until_open(self.primary)

    def start_server(self, machine: Machine) -> None:
        """Start a standby."""
        data = self.home(machine) / "data"
        (data / "standby.signal").touch()
        leader = f"primary_conninfo = '{self._leader()}'\n"
        (data / "postgresql.auto.conf").write_text(leader)
        self._start(machine)

    def _start(self, machine: Machine) -> None:
        home = self.home(machine)
        options = ("-D", home / "data", f"--unix_socket_directories={home}")
        self.spawn(machine, *AS_NOBODY, _program("postgres"), *options)

    def _leader(self) -> str:
        return f"host={self.primary.address} user={ADMINISTRATOR} connect_timeout=2"

    def wait_for(self, machine: Machine) -> None:
        """Wait until a standby has applied all that the primary has written."""
        self._wait_until_open(machine)
        if machine is self.primary:
            return
        ((end,),) = self.ask(self.primary, "SELECT pg_current_wal_lsn()::text")
        query = f"SELECT 1 WHERE pg_last_wal_replay_lsn() >= '{end}'"
        wait_until(lambda: bool(self.ask(machine, query)), f"{machine.name} following")

    def _wait_until_open(self, machine: Machine) -> None:
        def is_open() -> bool:
            try:
                self.ask(machine, "SELECT 1")
            except UnansweredError:
                return False
            return True

        wait_until(is_open, f"{machine.name} open")

    def recover_node(self, machine: Machine) -> None:
        """Start it again: as the primary if it is that, or as a copy of that one."""
        if machine is self.primary:
            self._start(machine)
            self._wait_until_open(machine)
            return
        home = self.home(machine)
        run("rm", "-rf", home / "data")
        machine.run(
            *(*AS_NOBODY, _program("pg_basebackup"), "-D", home / "data"),
            *("-d", self._leader(), "--checkpoint=fast", "--no-sync"),
        )
        self.start_server(machine)
        self.wait_for(machine)

    def change_primary(self) -> None:
        """Kill the primary, if it lives, and have the standby that knows most lead."""
        former = self.primary
        if former.is_running and self.processes(former):
            self.fail_node(former)
        standbys = [one for one in self.machines if one is not former]
        standbys = [one for one in standbys if self.processes(one)]
        self.primary = max(standbys, key=self._position)
        self.ask(self.primary, "SELECT pg_promote()")
        for one in standbys:
            if one is not self.primary:
                self.ask(one, f"ALTER SYSTEM SET primary_conninfo = '{self._leader()}'")
                self.ask(one, "SELECT pg_reload_conf()")

    def _position(self, machine: Machine) -> int:
        query = "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')::bigint"
        ((position,),) = self.ask(machine, query)
        return int(position or 0)

    def hold_back(self, machine: Machine) -> None:
        """Pause."""
        self.ask(machine, "SELECT pg_wal_replay_pause()")

    def catch_up(self, machine: Machine) -> None:
        """End the pause."""
        self.ask(machine, "SELECT pg_wal_replay_resume()")

    def ask(
        self, machine: Machine, statement: str, values: Sequence[str] = ()
    ) -> list[tuple[str, ...]]:
        """The rows that the server of a machine answers to an administrator."""
        try:
            with self._connect(machine) as one:
                cursor = one.execute(statement, values)
                return list(cursor.fetchall()) if cursor.description else []
        except driver("psycopg").Error as error:
            raise UnansweredError(f"{machine.name}: {error}") from None

    def _connect(self, machine: Machine) -> Any:
        return driver("psycopg").connect(
            host=str(self.home(machine)),
            user=ADMINISTRATOR,
            dbname=DATABASE,
            autocommit=True,
        )

    def socket(self, machine: Machine) -> Path:
        """The directory with the socket."""
        return self.home(machine)

    def pid_file(self, machine: Machine) -> Path:
        """The server writes it when it starts."""
        return self.home(machine) / "data" / "postmaster.pid"


def _program(name: str) -> str:
    return find_program(name) or name
