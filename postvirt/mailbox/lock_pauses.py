"""How long to wait before a lock that another process holds is tried again.

Parity: deliver_lock_attempts and deliver_lock_delay, as in src/global/deliver_flock.c.
Differs: Short waits for locks. A mailbox that is locked is tried again after 5, 20 and
    80 milliseconds, and only then as deliver_lock_attempts and deliver_lock_delay say.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

# The first retries come soon, because the lock is usually held by another delivery, for
# example by that of a worker that is being replaced. They do not count as attempts.
_SOON_SECONDS = (0.005, 0.02, 0.08)


def pauses(attempts: int, delay_seconds: float) -> Iterator[float]:
    """The pause before each further attempt, in seconds.

    Jittered, so that waiters for one lock do not retry in step.
    """
    if attempts > 1:
        for seconds in _SOON_SECONDS:
            yield seconds * random.uniform(0.75, 1.25)
    for _ in range(attempts - 1):
        yield delay_seconds * random.uniform(0.75, 1.25)
