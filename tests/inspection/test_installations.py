"""What people get wrong: found, with a remedy that mends it; and nothing else is."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.harness.installations import (
    Broken,
    Installation,
    Sound,
    parameters,
    prove,
    prove_sound,
)
from tests.inspection.installations import BROKEN, SOUND


@pytest.mark.parametrize("case", parameters(BROKEN))
def test_a_broken_installation(case: Broken, installation: Installation) -> None:
    prove(case, installation)


@pytest.mark.parametrize("case", parameters(SOUND))
def test_a_sound_installation(case: Sound, installation: Installation) -> None:
    prove_sound(case, installation)


def test_each_case_has_a_name_of_its_own() -> None:
    cases: list[Broken | Sound] = [*BROKEN, *SOUND]
    names = Counter(case.name for case in cases)
    assert [name for name, count in names.items() if count > 1] == []
