"""Three mail hosts with their mailboxes on one volume, and mail for all of them.

Postfix starts postvirt as a drop-in on the first; on the others it is a service. All of
them deliver all the time to the same two maildirs and two mbox files with dot locks.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from postvirt.standin import identity
from tests.cluster.laboratory import Laboratory
from tests.cluster.machine import Machine
from tests.cluster.mail_host import MailHost
from tests.cluster.mail_log import MailLog, followed
from tests.cluster.stream import Stream, flowing
from tests.cluster.tally import Tally, tally
from tests.cluster.volume import Volume
from tests.cluster.waiting import wait_until

NAMES = ("one", "two", "three")
MAILBOXES = {
    "maildir@example.com": "maildir/",
    "other@example.com": "other/",
    "mbox@example.com": "mbox",
    "second@example.com": "second",
}
PATIENCE_SECONDS = 180.0

_PARAMETERS = {
    "virtual_mailbox_domains": "example.com",
    # A dot lock of a host that is gone is in the way for so long. Less than a delivery
    # may hang would be too short.
    "stale_lock_time": "30s",
    "postvirt_workers": "2",
}
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Database(Protocol):
    """Where the tables are."""

    @classmethod
    def missing(cls) -> str | None:
        """Why there can be no such database here; None if there can."""

    def start(self) -> None:
        """Start it on all machines."""

    def add_mailbox(self, address: str, path: str) -> None:
        """Add a mailbox; all hosts know it soon."""

    def move_mailbox(self, address: str, path: str) -> None:
        """Have mail for an address delivered elsewhere; all hosts know it soon."""

    def parameters(self, machine: Machine) -> Mapping[str, str]:
        """What main.cf of a host says about the tables."""

    def recover_node(self, machine: Machine) -> None:
        """Start it again on a machine that was killed and started."""


class Site:
    """The hosts, and the mail for them.

    addresses             that the mail is for
    places                where mail for each address is, or has been
    outage_seconds        how long something is missing, if not for longer
    waits_for_old_mail    whether recovery includes all mail that was deferred
    """

    def __init__(
        self,
        laboratory: Laboratory,
        machines: Sequence[Machine],
        volume: Volume,
        database: Database,
        parameters: Mapping[str, str] = _NOTHING,
    ) -> None:
        self._parameters = _PARAMETERS | dict(parameters)
        self.laboratory = laboratory
        self.machines = machines
        self.volume = volume
        self.database = database
        self.addresses = list(MAILBOXES)
        self.places = {address: [path] for address, path in MAILBOXES.items()}
        self.outage_seconds = 2.0
        self.waits_for_old_mail = True
        self.kills: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._moves = itertools.count()
        for address, path in MAILBOXES.items():
            database.add_mailbox(address, path)
        self.streams = [self._new(*one) for one in enumerate(machines)]
        owner = identity.recipient_owner()
        machines[0].run("chown", f"{owner.uid}:{owner.gid}", self._mail)

    def _new(self, number: int, machine: Machine) -> Stream:
        self._mail = self.volume.mount_on(machine)
        parameters = self._parameters | dict(self.database.parameters(machine))
        host = MailHost(
            machine, number, self._mail, parameters, as_service=bool(number)
        )
        return Stream(host, MailLog(host.log), self.addresses, self._numbers)

    @property
    def hosts(self) -> list[MailHost]:
        """The mail hosts, in their order."""
        return [one.host for one in self.streams]

    def seen(self, path: str) -> Path:
        """A mailbox, as one of the machines sees it."""
        machine = next(one for one in self.machines if one.is_running)
        return machine.seen(self._mail / path)

    def kill(self, host: MailHost) -> None:
        """Kill the machine where it is."""
        self.kills[host.name] += 1
        host.machine.kill()

    def start_again(self, machine: Machine) -> None:
        """Start a machine that was killed, with the volume and without mail."""
        machine.start()
        self.database.recover_node(machine)
        self.volume.mount_on(machine)

    @contextmanager
    def new_mailbox(self, number: int) -> Iterator[None]:
        """Add a mailbox, and have mail for it, too, until the end of the block."""
        address, path = f"new-{number}@example.com", f"new-{number}/"
        self.database.add_mailbox(address, path)
        self.places[address] = [path]
        self.addresses.append(address)
        yield
        self.addresses.remove(address)

    def deliver_to_maildirs_only(self) -> None:
        """Have no more mail for mbox files."""
        self.addresses[:] = [
            one for one in self.addresses if self.places[one][0].endswith("/")
        ]

    def move(self) -> str:
        """Have mail for the next address delivered to a new mailbox: its path."""
        number = next(self._moves)
        address = list(MAILBOXES)[number % len(MAILBOXES)]
        new = f"moved-{number}-{MAILBOXES[address]}"
        self.places[address].insert(0, new)
        self.database.move_mailbox(address, new)
        return new

    def move_all(self) -> None:
        """Have all mail delivered to new mailboxes.

        A copy that is behind is compared by directories, and no user keeps so many
        unread messages as come here in some rounds.
        """
        for _ in MAILBOXES:
            self.move()

    @contextmanager
    def mail(self) -> Iterator[None]:
        """Mail into all hosts, from the beginning to the end of the block."""
        with ExitStack() as ends:
            ends.enter_context(followed([one.log for one in self.streams]))
            for host in self.hosts:
                host.start()
            ends.enter_context(flowing(self.streams))
            yield

    def wait_for_new_mail(self, *but: MailHost) -> float:
        """Wait until each host delivered mail that came after now: seconds."""
        return wait_until(self._has_new_mail(but), "new mail", PATIENCE_SECONDS)

    def _has_new_mail(self, but: Sequence[MailHost] = ()) -> Callable[[], bool]:
        streams = [one for one in self.streams if one.host not in but]
        last = {id(one): max(one.accepted, default=0) for one in streams}
        return lambda: all(one.has_delivered_after(last[id(one)]) for one in streams)

    def recovery(self) -> dict[str, float]:
        """Wait until mail flows: seconds until old mail was gone, and new mail came."""
        began = time.monotonic()
        old = {name for one in self.hosts for name in one.queue()}
        waits = {
            "old mail waits": lambda: all(
                old.isdisjoint(one.queue()) for one in self.hosts
            ),
            "new mail waits": self._has_new_mail(),
        }
        if not self.waits_for_old_mail:
            del waits["old mail waits"]
        seconds: dict[str, float] = {}

        def is_over() -> bool:
            for name, is_done in waits.items():
                if name not in seconds and is_done():
                    seconds[name] = time.monotonic() - began
            return len(seconds) == len(waits)

        wait_until(is_over, "recovery", PATIENCE_SECONDS)
        return {name: seconds[name] for name in waits}

    def situation(self) -> str:
        """What waits in the queues, and what hosts and servers say."""
        lines = [self.volume.situation()]
        for one in self.streams:
            lines.append(f"{one.host.name}: {' '.join(sorted(one.host.queue()))}")
            lines += one.log.trouble
        return "\n".join(lines)

    def settle(self) -> Tally:
        """Wait until all is delivered, and count; nothing more may be sent."""

        def is_done() -> bool:
            for host in self.hosts:
                host.flush()
            return not any(host.queue() for host in self.hosts)

        wait_until(is_done, "empty queues", PATIENCE_SECONDS)
        for one in self.streams:
            one.log.read_on()
        return tally(self.streams, self.seen(""), self.places, self.kills)
