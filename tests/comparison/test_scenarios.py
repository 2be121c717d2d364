"""virtual(8) and postvirt do the same in every scenario, to the byte."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.comparison.scenarios import SCENARIOS
from tests.harness.comparison import (
    GENUINE,
    POSTVIRT,
    Observation,
    difference,
    observe,
)
from tests.harness.scenario import Scenario

pytestmark = pytest.mark.postfix


@pytest.mark.parametrize(
    "scenario", [pytest.param(one, id=one.name) for one in SCENARIOS]
)
def test_postvirt_does_what_virtual_does(scenario: Scenario) -> None:
    # Both at once: a program that gives up waits a second first.
    with ThreadPoolExecutor() as pool:
        genuine, postvirt = pool.map(partial(observe, scenario), (GENUINE, POSTVIRT))
    expected = Observation({**genuine.sections, **scenario.expected})
    side_by_side = any(len(mail.recipients) > 1 for mail in scenario.mails)
    found = difference(expected, postvirt, side_by_side=side_by_side)
    assert not found, f"{scenario.name}:\n{found}"


def test_scenarios_have_different_names() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert sorted(set(names)) == sorted(names)


def test_a_difference_is_always_explained() -> None:
    assert all(bool(one.differs) == bool(one.expected) for one in SCENARIOS)
