"""The first digit of a status code says whether to try again."""

import pytest

from postvirt.model.outcome import Bounced, Deferred, Dsn, undelivered


@pytest.mark.parametrize(
    ("status", "kind"), [("4.2.0", Deferred), ("5.1.1", Bounced), ("5.4.4", Bounced)]
)
def test_four_defers_and_five_bounces(status, kind):
    dsn = Dsn(status, "reason")
    assert undelivered(dsn) == kind(dsn)
