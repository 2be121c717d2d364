"""Mail for a mailbox that a database server has not heard of yet."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from postvirt.standin import queue_manager
from postvirt.standin.demonstration import launcher
from postvirt.standin.instance import Instance
from postvirt.standin.master import Master
from postvirt.standin.queue_file import encode_content
from postvirt.standin.services import Services
from tests.cluster.galera import CAUSAL, Galera
from tests.cluster.in_laboratory import in_laboratory
from tests.cluster.laboratory import STORE, Laboratory
from tests.cluster.machine import Machine
from tests.cluster.postgres import Postgres
from tests.cluster.replicated import Replicated
from tests.cluster.waiting import wait_until
from tests.harness.databases import missing
from tests.harness.requests import request_for
from tests.harness.scenario import to

NEW = "new@example.com"
UNKNOWN = "unknown@example.com"
_DONE = {"private/bounce": "bounced", "private/defer": "deferred"}
_numbers = itertools.count(0x10000)


class Host:
    """postvirt below a master, with tables."""

    def __init__(self, name: str, tables: str) -> None:
        self._instance = instance = Instance(STORE / name)
        instance.main_cf({"virtual_mailbox_maps": tables})
        program = instance.root / "virtual"
        program.symlink_to(launcher())
        self._services = Services(instance.spool)
        self._master = Master(instance.spool, instance.etc, program)

    def stop(self) -> None:
        self._master.stop()
        self._services.stop()

    def deliver(self, address: str) -> str:
        """What becomes of one message."""
        message = self._instance.add_message(
            b"%X" % next(_numbers),
            b"sender@example.org",
            [to(address.encode())],
            encode_content(b"\n.\n"),
        )
        asked = len(self._services.requests)
        socket = self._instance.socket("private/virtual")
        queue_manager.deliver(socket, request_for(message))
        told = [_DONE[one.service] for one in self._services.requests[asked:]]
        return told[0] if told else "sent"


@contextmanager
def host(name: str, *tables: str) -> Iterator[Host]:
    made = Host(name, ", ".join(tables))
    try:
        yield made
    finally:
        made.stop()


def started(kind: type[Replicated], lab: Laboratory) -> Replicated:
    database = kind([lab.add(name) for name in ("one", "two", "three")])
    database.start()
    return database


def set_patience(database: Replicated, machine: Machine, period: str) -> None:
    """How long a server of Galera waits for what others know."""
    option = f"repl.causal_read_timeout={period}"
    database.ask(machine, "SET GLOBAL wsrep_provider_options = %s", (option,))


@pytest.fixture(autouse=True)
def _programs(request: pytest.FixtureRequest) -> None:
    kind = Galera if "galera" in request.node.name else Postgres
    if reason := kind.missing():
        missing(reason)


@pytest.mark.root
@in_laboratory
def test_a_second_table_asks_the_primary_of_postgres(lab: Laboratory) -> None:
    """What the local standby does not know; without an answer, mail is deferred."""
    database = started(Postgres, lab)
    one, two, _ = database.machines
    database.hold_back(two)
    database.add_mailbox(NEW, "new/")

    with host("alone", database.table(two, database.local(two))) as alone:
        assert alone.deliver(NEW) == "bounced"
    with host("both", database.maps(two)) as both:
        assert both.deliver(NEW) == "sent"
        assert both.deliver(UNKNOWN) == "bounced"
        database.fail_node(one)
        assert both.deliver(NEW) == "deferred"
        assert both.deliver(UNKNOWN) == "deferred"
        database.change_primary()
        wait_until(lambda: both.deliver(UNKNOWN) == "bounced", "another primary")
        assert both.deliver(NEW) == "sent"


@pytest.mark.root
@in_laboratory
def test_a_causal_read_waits_for_galera(lab: Laboratory) -> None:
    """For a while; then the others are asked, or mail is deferred."""
    database = started(Galera, lab)
    two = database.machines[1]
    local = database.local(two)
    causal = database.table(two, local, query=CAUSAL, name="causal")
    stale = database.table(two, local, name="stale")
    set_patience(database, two, "PT30S")
    database.hold_back(two)
    database.add_mailbox(NEW, "new/")

    with host("not-causal", stale) as hasty:
        assert hasty.deliver(NEW) == "bounced"
    with host("causal", causal) as waiting, ThreadPoolExecutor() as threads:
        delivery = threads.submit(waiting.deliver, NEW)
        asked = "SELECT id FROM information_schema.processlist WHERE info LIKE 'SET %%'"
        wait_until(lambda: bool(database.ask(two, asked)), "a query")
        assert not delivery.done()
        database.catch_up(two)
        assert delivery.result() == "sent"

        set_patience(database, two, "PT1S")
        database.hold_back(two)
        database.add_mailbox("newer@example.com", "newer/")
        assert waiting.deliver("newer@example.com") == "deferred"
    with host("others", database.maps(two)) as asking:
        assert asking.deliver("newer@example.com") == "sent"
