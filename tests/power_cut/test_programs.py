"""postvirt keeps its promise wherever the power is cut; virtual(8) does not.

A few cuts of very many: scripts/power-cut makes the others.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.harness.child import in_child
from tests.harness.comparison import GENUINE, POSTVIRT
from tests.power_cut.cuts import Findings, explore
from tests.power_cut.devices import FILE_SYSTEMS, FileSystem, own_mounts
from tests.power_cut.recording import SCENARIOS, Scenario, record

_CUTS = 15

every_file_system = pytest.mark.parametrize(
    "file_system", FILE_SYSTEMS, ids=lambda one: one.name
)


def _findings(
    program: Path, scenario: Scenario, file_system: FileSystem, root: Path
) -> Findings:
    def work() -> Findings:
        own_mounts()
        recording = record(scenario, file_system, program, root)
        return explore(recording, root, random.Random(1), limit=_CUTS)

    return in_child(work)


@pytest.mark.root
@every_file_system
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_acknowledged_mail_is_in_place(
    scenario: Scenario, file_system: FileSystem, root: Path
) -> None:
    findings = _findings(POSTVIRT, scenario, file_system, root)
    assert findings.problems == []
    assert findings.cuts == _CUTS


@pytest.mark.postfix
@every_file_system
def test_virtual_acknowledges_mail_that_is_only_in_tmp(
    file_system: FileSystem, root: Path
) -> None:
    findings = _findings(GENUINE, SCENARIOS[0], file_system, root)
    expected = "mail 1 for maildir is acknowledged and only in tmp/"
    assert any(one.endswith(expected) for one in findings.problems), findings
