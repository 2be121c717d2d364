"""Nothing is lost and nothing bounces, whatever happens to the machine."""

from __future__ import annotations

from functools import partial

import pytest

from tests.adversity.trials import SHORT
from tests.harness.child import in_child
from tests.harness.comparison import POSTVIRT

pytestmark = pytest.mark.root

# In these, no mail is deferred; in that one, processes are killed.
_WITHOUT_DEFERRING = {"set-clock", "memory-limit"}
_WITH_KILLS = {"memory-limit"}


@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost_and_nothing_bounces(name: str) -> None:
    result = in_child(partial(SHORT[name], POSTVIRT))
    result.kept_the_promise()
    assert bool(result.cut_off) is (name in _WITH_KILLS), result
    assert bool(result.deferred) is (name not in _WITHOUT_DEFERRING), result
