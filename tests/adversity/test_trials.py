"""Nothing is lost and nothing bounces, whatever happens to the machine."""

from __future__ import annotations

from functools import partial

import pytest

from postvirt.standin.instance import Instance
from tests.adversity.stream import Site
from tests.adversity.trials import SHORT
from tests.harness.child import in_child
from tests.harness.comparison import POSTVIRT
from tests.harness.set_clock import Clock

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


def test_a_lock_is_not_stale_because_the_clock_was_set_forward(
    instance: Instance,
) -> None:
    """Somebody holds it, and has done so for a moment."""
    clock = Clock(instance.root)
    parameters = {"deliver_lock_attempts": "2"}
    with Site(instance, POSTVIRT, parameters, environment=clock.environment) as site:
        assert site.try_once(site.new_message(("mbox",), 0))
        lock = instance.mail / "mbox.lock"
        lock.touch()
        instance.recipient_owner.give(lock)
        clock.set(3600)
        assert not site.try_once(site.new_message(("mbox",), 0))
        assert lock.exists()
        lock.unlink()
        site.settle().kept_the_promise()
