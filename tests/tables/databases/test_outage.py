"""Databases that die in the middle of a run of deliveries, or say nothing."""

from __future__ import annotations

import itertools
import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from postvirt.standin import queue_manager
from postvirt.standin.demonstration import launcher
from postvirt.standin.instance import Instance
from postvirt.standin.master import Master
from postvirt.standin.queue_file import QueueFile, encode_content
from postvirt.standin.services import Services
from tests.harness.databases import SECRET, Server, driver
from tests.harness.requests import request_for
from tests.harness.rogue import Channel, rogue
from tests.harness.scenario import to

ADDRESS = b"user@example.com"
MAILDIR = "user/"
PATIENCE_SECONDS = 60

PARAMETERS = {
    "pgsql": {
        "hosts": "inet:127.0.0.1:{port}",
        "user": "reader",
        "password": SECRET,
        "dbname": "mail",
        "query": "SELECT path FROM users WHERE address = '%s'",
    },
    "mysql": {
        "hosts": "inet:127.0.0.1:{port}",
        "user": "reader",
        "password": SECRET,
        "dbname": "mail",
        "query": "SELECT path FROM users WHERE address = '%s'",
    },
    "ldap": {
        "server_host": "ldap://127.0.0.1:{port}",
        "version": "3",
        "bind_dn": "cn=reader,dc=example,dc=com",
        "bind_pw": SECRET,
        "search_base": "dc=example,dc=com",
        "query_filter": "(description=%s)",
        "result_attribute": "street",
    },
}
DRIVERS = {"pgsql": "psycopg", "mysql": "pymysql", "ldap": "ldap"}
SERVERS = {"pgsql": "postgresql", "mysql": "mariadb", "ldap": "slapd"}


@contextmanager
def running(instance: Instance) -> Iterator[tuple[Services, Master]]:
    """postvirt below a master, with the services that it needs."""
    program = instance.root / "virtual"
    program.symlink_to(launcher())
    services = Services(instance.spool)
    master = Master(instance.spool, instance.etc, program)
    try:
        yield services, master
    finally:
        master.stop()
        services.stop()


def write_table(instance: Instance, kind: str, port: int, **parameters: str) -> str:
    """Write the file that sets up a table; returns "type:/path"."""
    settings = {**PARAMETERS[kind], "retry_interval": "1", **parameters}
    lines = (
        f"{name} = {value.format(port=port)}\n" for name, value in settings.items()
    )
    table = instance.etc / "table.cf"
    table.write_text("".join(lines))
    return f"{kind}:{table}"


class Run:
    """Deliveries of one message after the other to the same user, as fast as they go.

    The thread ends with `stop`; a message that was not delivered stays in `queued`.
    """

    def __init__(self, instance: Instance) -> None:
        self.delivered: list[QueueFile] = []
        self.queued: list[QueueFile] = []
        self._instance = instance
        self._changed = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._deliver_all)
        self._thread.start()

    def wait_for(self, *, delivered: int = 0, queued: int = 0) -> None:
        """Wait until so many more messages are delivered, or stay queued."""
        goal = len(self.delivered) + delivered, len(self.queued) + queued
        with self._changed:
            assert self._changed.wait_for(
                lambda: len(self.delivered) >= goal[0] and len(self.queued) >= goal[1],
                PATIENCE_SECONDS,
            ), (len(self.delivered), len(self.queued))

    def stop(self) -> None:
        self._is_over = True
        self._thread.join()

    def deliver(self, message: QueueFile) -> bool:
        """Deliver a message; False when it stays queued."""
        socket = self._instance.socket("private/virtual")
        return queue_manager.deliver(socket, request_for(message)).status == 0

    def _deliver_all(self) -> None:
        for number in itertools.count(0x10000):
            if self._is_over:
                return
            queue_id = b"%X" % number
            content = encode_content(b"Subject: %b\n\n.\n" % queue_id)
            message = self._instance.add_message(
                queue_id, b"sender@example.org", [to(ADDRESS)], content
            )
            is_delivered = self.deliver(message)
            with self._changed:
                (self.delivered if is_delivered else self.queued).append(message)
                self._changed.notify()


@pytest.mark.root
@pytest.mark.parametrize("kind", PARAMETERS)
def test_nothing_bounces_and_deliveries_go_on(
    kind: str, instance: Instance, request: pytest.FixtureRequest
) -> None:
    """The same worker delivers before, defers meanwhile, and delivers afterwards."""
    driver(DRIVERS[kind])
    server: Server = request.getfixturevalue(SERVERS[kind])
    table = write_table(instance, kind, server.port)
    instance.main_cf({"virtual_mailbox_maps": table, "max_use": "1000000"})
    with running(instance) as (services, master):
        run = Run(instance)
        try:
            run.wait_for(delivered=20)
            server.stop()
            try:
                run.wait_for(queued=20)
            finally:
                server.start()
            run.wait_for(delivered=20)
        finally:
            run.stop()
        assert all(run.deliver(message) for message in run.queued)

    # A message that was in the worker's hands when the server died had its lookup
    # answered or was deferred: there is no third way.
    found = Counter(
        path.read_bytes().partition(b"Subject: ")[2].partition(b"\n")[0]
        for path in (instance.mail / MAILDIR / "new").iterdir()
    )
    assert found == Counter(
        message.queue_id for message in [*run.delivered, *run.queued]
    )
    asked = Counter(one.service for one in services.requests)
    assert asked == {"private/defer": len(run.queued)}
    (process,) = master.processes
    assert process.exit_status == 0
    assert not [line for line in services.log if b"fatal" in line or b"panic" in line]
    assert not [line for line in services.log if SECRET.encode() in line]


@pytest.mark.root
@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("pgsql", {"dbname": "dbname=mail connect_timeout=1000"}),
        ("mysql", {}),
        ("ldap", {}),
        ("ldap", {"server_host": "ldaps://127.0.0.1:{port}"}),
    ],
)
def test_a_server_that_says_nothing_holds_up_no_other_mail(
    kind: str, parameters: dict[str, str], instance: Instance
) -> None:
    """In one worker, mail that needs the server waits; other mail is delivered."""
    driver(DRIVERS[kind])
    is_asked = threading.Event()

    def script(channel: Channel) -> None:
        is_asked.set()
        channel.stay()

    def deliver(queue_id: bytes, address: bytes) -> int | None:
        message = instance.add_message(
            queue_id, b"sender@example.org", [to(address)], encode_content(b"\n.\n")
        )
        socket = instance.socket("private/virtual")
        return queue_manager.deliver(socket, request_for(message)).status

    with rogue(script) as server, ThreadPoolExecutor() as clients:
        table = write_table(instance, kind, server.port, **parameters)
        known = "inline:{ { here@example.com = here/ } }"
        instance.main_cf({"virtual_mailbox_maps": f"{known}, {table}"})
        with running(instance) as (services, _):
            waiting = clients.submit(deliver, b"10000", b"there@example.com")
            assert is_asked.wait(PATIENCE_SECONDS)
            assert deliver(b"20000", b"here@example.com") == 0
            assert not waiting.done()
            server.stop()
            assert waiting.result(PATIENCE_SECONDS) != 0
        # One worker has done both: the other mail did not need another one.
        lines = [line for line in services.log if b" to=<" in line]
        workers = {re.findall(rb"virtual\[\d+\]", line)[0] for line in lines}
        assert (len(lines), len(workers)) == (2, 1), services.log
        assert [one.service for one in services.requests] == ["private/defer"]
