"""Nothing is lost and nothing bounces, whatever happens to the machine."""

from __future__ import annotations

from functools import partial

import pytest

from tests.adversity.trials import TRIALS
from tests.harness.child import in_child
from tests.harness.comparison import POSTVIRT

pytestmark = pytest.mark.root

# In these, mail is deferred for a while.
_DEFERRING = TRIALS.keys() - {"set-clock"}


@pytest.mark.parametrize("name", TRIALS)
def test_nothing_is_lost_and_nothing_bounces(name: str) -> None:
    result = in_child(partial(TRIALS[name], POSTVIRT))
    result.kept_the_promise()
    assert result.cut_off == 0, result
    assert bool(result.deferred) is (name in _DEFERRING), result
