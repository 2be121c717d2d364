from __future__ import annotations

import pytest

from tests.cluster.growth.calculation import COMMITS, CONNECTIONS, Costs, needs
from tests.cluster.growth.plot import Line, plot

COSTS = Costs(
    host_seconds=0.005,
    storage_seconds=0.001,
    commits=1.0,
    database_seconds=0.0001,
    connections=10,
)


def test_what_one_of_each_can_do() -> None:
    rates = COSTS.rates()
    assert rates["host"] == pytest.approx(560)
    assert rates["processors of a storage group"] == pytest.approx(2800)
    assert rates["disks of a storage group"] == pytest.approx(0.7 * COMMITS)
    assert rates["database node"] == pytest.approx(28_000)


def test_one_of_each_is_enough_for_one_host() -> None:
    found = needs(COSTS, 1, 100)
    assert (found.storage_groups, found.database_nodes) == (1, 1)
    assert (found.connections, found.first) == (10, "nothing")


def test_the_slower_one_of_disks_and_processors_counts() -> None:
    found = needs(COSTS, 100, 100)
    assert found.storage_groups == 8  # 10,000 of 1,400
    assert found.first == "disks of a storage group"


def test_connections_need_database_nodes_as_well() -> None:
    found = needs(COSTS, 100, 1)
    assert found.connections == 1000
    assert found.database_nodes == -(-1000 // CONNECTIONS)
    assert found.first == "connections of a database node"


def test_the_picture_has_all_lines_and_dots() -> None:
    lines = [Line("a", {1: 10.0, 1000: 10_000.0}), Line("b", {1: 50.0, 1000: 50.0})]
    picture = plot(lines, {1: 9.0, 3: 20.0})
    assert picture.count("<polyline") == 2
    assert picture.count("<circle") == 2
