"""How fast one, two and three hosts deliver to the same mailboxes, and what it costs.

All hosts are sent mail as fast as they accept it. The time counts until all queues are
empty; each recipient is a request of its own. Processor time is that of all processes
of the laboratory, by what they belong to.
"""

from __future__ import annotations

import itertools
import os
import smtplib
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from postvirt.standin import identity
from tests.cluster.laboratory import Laboratory
from tests.cluster.machine import Machine
from tests.cluster.mail_host import MailHost
from tests.cluster.replicated import Replicated
from tests.cluster.site import NAMES
from tests.cluster.stream import SENDER
from tests.cluster.volume import Volume

_MAILBOXES = 60
_RECIPIENTS = 20
_MESSAGES = 40  # for each host
_SIZE_BYTES = 4096
_PATIENCE_SECONDS = 300.0
_LOOK_SECONDS = 0.05

# What a process belongs to, by the name of its program.
_BELONGS = {
    "glusterfsd": "storage",
    "glusterfs": "client",
    "mariadbd": "database",
    "postgres": "database",
    "virtual": "agent",
    "postvirt": "agent",
    "python": "agent",
    "python3": "agent",
    "qmgr": "queue",
    "bounce": "queue",
    "smtpd": "queue",
    "cleanup": "queue",
    "trivial-rewrite": "queue",
    "master": "queue",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What was measured.

    rate          deliveries per second, of all hosts
    seconds       of processors for 1,000 deliveries, by what used them; all machines
    connections   to all database servers, at most
    """

    hosts: int
    rate: float
    seconds: dict[str, float]
    connections: int


def run(lab: Laboratory, volume: Volume, database: Replicated, hosts: int) -> Trial:
    """Measure so many of the machines, which all keep the mailboxes and the table."""
    addresses = [f"user{number}@example.com" for number in range(_MAILBOXES)]
    machines = [lab.machines[name] for name in NAMES[:hosts]]
    mail = [volume.mount_on(machine) for machine in machines].pop()
    owner = identity.recipient_owner()
    machines[0].run("chown", f"{owner.uid}:{owner.gid}", mail)
    for address in addresses:
        database.add_mailbox(address, f"{address.partition('@')[0]}/")
    posts = [
        MailHost(machine, number, mail, _parameters(database, machine), as_service=True)
        for number, machine in enumerate(machines)
    ]
    for post in posts:
        post.start()
    try:
        _deliver(
            database, posts, addresses, _MAILBOXES // _RECIPIENTS
        )  # then maildirs exist
        before = _processor_seconds()
        connections, seconds = _deliver(database, posts, addresses, _MESSAGES)
        after = _processor_seconds()
    finally:
        for post in posts:
            post.stop()
    deliveries = hosts * _MESSAGES * _RECIPIENTS
    per_thousand = {
        what: 1000 * (after[what] - before[what]) / deliveries for what in after
    }
    return Trial(hosts, deliveries / seconds, per_thousand, connections)


def _parameters(database: Replicated, machine: Machine) -> dict[str, str]:
    return {
        "virtual_mailbox_domains": "example.com",
        "postvirt_destination_recipient_limit": "1",
        **database.parameters(machine),
    }


def _deliver(
    database: Replicated,
    posts: Sequence[MailHost],
    addresses: Sequence[str],
    messages: int,
) -> tuple[int, float]:
    """Have mail delivered: the most connections to a database, and seconds."""
    began = time.monotonic()
    with ThreadPoolExecutor(len(posts)) as threads:
        sent = [threads.submit(_send, post, addresses, messages) for post in posts]
        most = 0
        while not all(one.done() for one in sent) or any(one.queue() for one in posts):
            most = max(most, sum(_connections(database, one.machine) for one in posts))
            if time.monotonic() > began + _PATIENCE_SECONDS:
                raise TimeoutError("the queues do not become empty")
            time.sleep(_LOOK_SECONDS)
        for one in sent:
            one.result()
    return most, time.monotonic() - began


def _send(post: MailHost, addresses: Sequence[str], messages: int) -> None:
    """Send messages, each to the next few of the addresses."""
    turns = itertools.cycle(addresses)
    text = b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * (_SIZE_BYTES // 72)
    with smtplib.SMTP(*post.address, timeout=_PATIENCE_SECONDS) as client:
        for _ in range(messages):
            client.sendmail(SENDER, list(itertools.islice(turns, _RECIPIENTS)), text)


def _connections(database: Replicated, machine: Machine) -> int:
    """Those that the database server of a machine has; it is asked by its socket."""
    lines = machine.run("cat", "/proc/net/unix").splitlines()
    own = os.fspath(database.socket(machine))
    return sum(own in line for line in lines) - 1  # it listens, too


def _processor_seconds() -> dict[str, float]:
    """That of all processes, and of those that have ended, by what they belong to."""
    used: dict[str, float] = defaultdict(float)
    ticks = os.sysconf("SC_CLK_TCK")
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = stat.read_text().partition(" (")[2].rpartition(") ")
            fields = rest.split()
            used[_BELONGS.get(name, "other")] += sum(map(int, fields[11:15])) / ticks
    return used
