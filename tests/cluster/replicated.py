"""A table of mailboxes in a database that some machines have a copy of each.

`start` makes the same database on all machines, and starts a server on each. What a
server keeps is on the disk of its machine, so it survives that: `recover_node` starts
the server again, after `fail_node` or after the machine was killed and started.

The machines query their own server by its socket, and the others when that one does not
answer.

Raises: UnansweredError, subprocess.CalledProcessError and TimeoutError.
"""

from __future__ import annotations

import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tests.cluster.laboratory import STORE
from tests.cluster.machine import Argument, Machine, run
from tests.cluster.waiting import wait_until
from tests.harness.databases import SECRET, find_program

DATABASE = "mail"
READER = "reader"
ADMINISTRATOR = "administrator"
QUERY = "SELECT path FROM users WHERE address = '%s'"

_NOBODY = "65534"
# Servers give up root's rights this way.
AS_NOBODY = ("setpriv", "--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups", "--")


class UnansweredError(Exception):
    """A server does not answer, or says that it cannot."""


class Replicated(ABC):
    """The servers, one on each machine; a kind of database says what they are.

    type         the type of table that queries them
    programs     what it needs
    primary      the machine whose server changes are sent to
    """

    type: ClassVar[str]
    programs: ClassVar[Sequence[str]]

    def __init__(self, machines: Sequence[Machine]) -> None:
        self.machines = list(machines)
        self.primary = self.machines[0]
        self._started: dict[str, subprocess.Popen[str]] = {}

    @classmethod
    def missing(cls) -> str | None:
        """Why there can be no such database here; None if there can."""
        lacking = [name for name in cls.programs if not find_program(name)]
        return f"needs {' '.join(lacking)}" if lacking else None

    def start(self) -> None:
        """Make the database, and start all servers."""
        template = STORE / f"{self.type}-template"
        template.mkdir()
        run("chown", _NOBODY, template)
        self.prepare(template)
        for machine in self.machines:
            run("cp", "-a", template, self.home(machine))
        run("rm", "-rf", template)
        self.start_first()
        for machine in self.machines[1:]:
            self.start_server(machine)
            self.wait_for(machine)

    def home(self, machine: Machine) -> Path:
        """Where the server of a machine keeps everything."""
        return machine.disk / self.type

    def add_mailbox(self, address: str, path: str) -> None:
        """Tell the primary of a mailbox; the others know it soon."""
        insert = "INSERT INTO users VALUES (%s, %s)"
        self.ask(self.primary, insert, (address, path))

    def move_mailbox(self, address: str, path: str) -> None:
        """Tell the primary that a mailbox is somewhere else."""
        update = "UPDATE users SET path = %s WHERE address = %s"
        self.ask(self.primary, update, (path, address))

    def path_of(self, machine: Machine, address: str) -> str | None:
        """Where a mailbox is, says the server of a machine, if it says anything."""
        query = "SELECT path FROM users WHERE address = %s"
        try:
            rows = self.ask(machine, query, (address,))
        except UnansweredError:
            return None
        return rows[0][0] if rows else None

    def parameters(self, machine: Machine) -> Mapping[str, str]:
        """What main.cf of a machine says, about files that are written for it."""
        return {"virtual_mailbox_maps": self.maps(machine)}

    @abstractmethod
    def maps(self, machine: Machine) -> str:
        """Tables that say of no mailbox that there is none, if one was added."""

    def hosts(self, machine: Machine) -> list[str]:
        """All servers, that of the machine first."""
        others = [one for one in self.machines if one is not machine]
        return [self.local(machine), *map(self.remote, others)]

    def local(self, machine: Machine) -> str:
        """How a machine calls its own server."""
        return f"unix:{self.socket(machine)}"

    def remote(self, machine: Machine) -> str:
        """How other machines call the server of a machine."""
        return f"inet:{machine.address}"

    def table(
        self, machine: Machine, *hosts: str, name: str = "mailboxes", **more: str
    ) -> str:
        """Write the file of a table for a machine: "type:/path"."""
        parameters = {
            "hosts": " ".join(hosts),
            "user": READER,
            "password": SECRET,
            "dbname": DATABASE,
            "query": QUERY,
            "retry_interval": "2",
            **more,
        }
        path = machine.disk / f"{name}-{self.type}.cf"
        path.write_text("".join(f"{k} = {v}\n" for k, v in parameters.items()))
        return f"{self.type}:{path}"

    def fail_node(self, machine: Machine) -> None:
        """Kill the server of a machine."""
        self.signal(machine, signal.SIGKILL)
        wait_until(lambda: not self.processes(machine), f"{machine.name} without it")

    def hang_node(self, machine: Machine) -> None:
        """Have a server accept connections and say nothing."""
        self.signal(machine, signal.SIGSTOP)

    def wake_node(self, machine: Machine) -> None:
        """Have it go on."""
        self.signal(machine, signal.SIGCONT)
        # nsenter(1) stops when its child does.
        self._started[machine.name].send_signal(signal.SIGCONT)

    def spawn(self, machine: Machine, *command: Argument) -> None:
        """Start a server, which writes its log in its directory."""
        home = self.home(machine)
        self.pid_file(machine).unlink(missing_ok=True)
        with (home / "log").open("a") as log:
            self._started[machine.name] = machine.spawn(
                *command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=home
            )

    def signal(self, machine: Machine, number: signal.Signals) -> None:
        """Send a signal to all processes of a server, the first one first."""
        numbers = map(str, self.processes(machine))
        kill = machine.command("kill", f"-{number.value}", *numbers)
        # Some may have ended with the first one.
        subprocess.run(kill, stderr=subprocess.DEVNULL, check=False)

    def processes(self, machine: Machine) -> list[int]:
        """The processes of a server, as the machine knows them."""
        if not machine.is_running:
            return []
        try:
            first = self.pid_file(machine).read_text().split()[0]
        except (FileNotFoundError, IndexError):
            return []
        told = subprocess.run(
            machine.command("ps", "-o", "pid=,stat=", "--pid", first, "--ppid", first),
            capture_output=True,
            text=True,
            check=False,
        ).stdout.splitlines()
        known = [line.split() for line in told]
        return sorted(int(pid) for pid, state in known if state[0] != "Z")

    @abstractmethod
    def prepare(self, home: Path) -> None:
        """Make a server's files, with the table and the accounts."""

    @abstractmethod
    def start_first(self) -> None:
        """Start the server of the first machine, and wait until it is ready."""

    @abstractmethod
    def start_server(self, machine: Machine) -> None:
        """Start a server that has been told of the others."""

    @abstractmethod
    def wait_for(self, machine: Machine) -> None:
        """Wait until a server is ready and knows all that the others know."""

    @abstractmethod
    def recover_node(self, machine: Machine) -> None:
        """Start a server again that was killed, and wait until it is ready."""

    @abstractmethod
    def change_primary(self) -> None:
        """Have the next server that works be the primary."""

    @abstractmethod
    def hold_back(self, machine: Machine) -> None:
        """Have a server answer, and not apply what it is told."""

    @abstractmethod
    def catch_up(self, machine: Machine) -> None:
        """Have it apply all that it was told, and go on."""

    @abstractmethod
    def ask(
        self, machine: Machine, statement: str, values: Sequence[str] = ()
    ) -> list[tuple[str, ...]]:
        """The rows that the server of a machine answers to an administrator."""

    @abstractmethod
    def socket(self, machine: Machine) -> Path:
        """What its own clients connect to."""

    @abstractmethod
    def pid_file(self, machine: Machine) -> Path:
        """Begins with the number of the server's first process."""
