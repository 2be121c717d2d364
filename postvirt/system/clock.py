"""The time of day, as Postfix passes it around."""

from __future__ import annotations

import time

from postvirt.model.request import Timestamp


def now() -> Timestamp:
    """The current time, to the microsecond."""
    return Timestamp(*divmod(time.time_ns() // 1000, 1_000_000))
