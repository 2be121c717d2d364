from __future__ import annotations

import pytest

from postvirt.model.quota import NO_LIMIT, Limit, Use


@pytest.mark.parametrize(
    ("limit", "use", "more", "fits"),
    [
        (Limit(100, 0), Use(90, 3), Use(10, 1), True),
        (Limit(100, 0), Use(90, 3), Use(11, 1), False),
        (Limit(0, 4), Use(90, 3), Use(10**9, 1), True),
        (Limit(0, 4), Use(90, 4), Use(1, 1), False),
        (Limit(100, 4), Use(90, 4), Use(1, 1), False),
        (Limit(100, 4), Use(100, 3), Use(1, 1), False),
        (NO_LIMIT, Use(10**18, 10**9), Use(10**9, 1), True),
    ],
)
def test_room(limit: Limit, use: Use, more: Use, fits: bool) -> None:
    assert limit.has_room(use, more) is fits


def test_a_message_that_is_larger_than_the_limit_never_fits() -> None:
    assert Limit(100, 0).can_hold(100)
    assert not Limit(100, 0).can_hold(101)
    assert NO_LIMIT.can_hold(10**12)


@pytest.mark.parametrize(
    ("use", "more", "refusal"),
    [
        (Use(0, 0), Use(101, 1), "message"),
        (Use(50, 4), Use(101, 1), "message"),
        (Use(50, 1), Use(51, 1), "size"),
        (Use(50, 4), Use(51, 1), "size"),
        (Use(50, 4), Use(50, 1), "messages"),
    ],
)
def test_why_something_does_not_fit(use: Use, more: Use, refusal: str) -> None:
    limit = Limit(100, 4)
    assert not limit.has_room(use, more)
    assert limit.refusal(use, more) == refusal


def test_percent_is_that_of_what_is_nearer_to_its_limit() -> None:
    assert Limit(200, 10).percent(Use(100, 1)) == 50
    assert Limit(200, 10).percent(Use(100, 8)) == 80
    assert NO_LIMIT.percent(Use(100, 8)) == 0
