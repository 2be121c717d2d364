"""A database dies in the middle of a run of deliveries, and comes back."""

from __future__ import annotations

import itertools
import threading
from collections import Counter

import pytest

from postvirt.standin import queue_manager
from postvirt.standin.demonstration import launcher
from postvirt.standin.instance import Instance
from postvirt.standin.master import Master
from postvirt.standin.queue_file import QueueFile, encode_content
from postvirt.standin.services import Services
from tests.harness.databases import SECRET, Server, driver
from tests.harness.requests import request_for
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
    lines = (
        f"{name} = {value.format(port=server.port)}\n"
        for name, value in {**PARAMETERS[kind], "retry_interval": "1"}.items()
    )
    table = instance.etc / "table.cf"
    table.write_text("".join(lines))
    instance.main_cf({"virtual_mailbox_maps": f"{kind}:{table}", "max_use": "1000000"})
    program = instance.root / "virtual"
    program.symlink_to(launcher())
    services = Services(instance.spool)
    master = Master(instance.spool, instance.etc, program)
    try:
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
    finally:
        master.stop()
        services.stop()

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
