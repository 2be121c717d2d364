"""The databases do in the laboratory what is said of them."""

from __future__ import annotations

from functools import partial

import pytest

from tests.cluster.galera import Galera
from tests.cluster.in_laboratory import in_laboratory
from tests.cluster.laboratory import Laboratory
from tests.cluster.machine import Machine
from tests.cluster.postgres import Postgres
from tests.cluster.replicated import Replicated, UnansweredError
from tests.cluster.waiting import wait_until
from tests.harness.databases import missing

KINDS: dict[str, type[Replicated]] = {"galera": Galera, "postgres": Postgres}


@pytest.fixture(autouse=True)
def _programs(request: pytest.FixtureRequest) -> None:
    kind = KINDS[request.getfixturevalue("kind")]
    if reason := kind.missing():
        missing(reason)


def wait_for_addition(database: Replicated, address: str) -> None:
    """Add a mailbox as soon as that is possible."""

    def is_added() -> bool:
        try:
            database.add_mailbox(address, "old/")
        except UnansweredError:
            return False
        return True

    wait_until(is_added, f"{address} added")


def wait_for_path(
    database: Replicated, address: str, path: str, *machines: Machine
) -> None:
    """Wait until machines know where a mailbox is."""
    for machine in machines:
        known = partial(is_known, database, address, path, machine)
        wait_until(known, f"{address} known to {machine.name}")


def is_known(database: Replicated, address: str, path: str, machine: Machine) -> bool:
    return database.path_of(machine, address) == path


@pytest.mark.root
@pytest.mark.parametrize("kind", KINDS)
@in_laboratory
def test_servers_fail_and_recover(lab: Laboratory, kind: str) -> None:
    """All know what was added, whatever was down meanwhile."""
    one, two, three = machines = [lab.add(name) for name in ("one", "two", "three")]
    database = KINDS[kind](machines)
    database.start()

    database.hold_back(two)
    database.add_mailbox("first@example.com", "old/")
    wait_for_path(database, "first@example.com", "old/", one, three)
    assert not database.path_of(two, "first@example.com")
    database.catch_up(two)
    wait_for_path(database, "first@example.com", "old/", two)

    database.fail_node(three)
    wait_for_addition(database, "second@example.com")
    database.recover_node(three)
    assert database.path_of(three, "second@example.com")

    one.kill()
    database.change_primary()
    assert database.primary is not one
    wait_for_addition(database, "third@example.com")
    one.start()
    database.recover_node(one)
    assert database.path_of(one, "third@example.com")

    minority = next(machine for machine in machines if machine is not database.primary)
    minority.cut()
    wait_for_addition(database, "fourth@example.com")
    assert not database.path_of(minority, "fourth@example.com")
    minority.reconnect()
    wait_for_path(database, "fourth@example.com", "old/", *machines)

    database.move_mailbox("first@example.com", "new/")
    wait_for_path(database, "first@example.com", "new/", *machines)
