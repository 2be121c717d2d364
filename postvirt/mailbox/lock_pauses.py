"""How long to wait before a lock that another process holds is tried again.

Parity: deliver_lock_attempts and deliver_lock_delay, as in src/global/deliver_flock.c.
Differs: Short waits for locks. A mailbox that is locked is tried again after 5, 20 and
    80 milliseconds, and only then as deliver_lock_attempts and deliver_lock_delay say.
"""

from __future__ import annotations

import time
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
            yield seconds * _jitter()
    for _ in range(attempts - 1):
        yield delay_seconds * _jitter()


def _jitter() -> float:
    """From 0.75 to 1.25, whatever the clock shows below a millisecond.

    The module random would seed itself in every process that is forked.
    """
    return 0.75 + time.monotonic_ns() % 1_000_000 / 2_000_000


def attempts_left(attempts: int, delay_seconds: float, waited_seconds: float) -> int:
    """The attempts for messages that have waited for earlier ones to the same mailbox.

    The earlier ones tried to get the same lock, so that time counts. If it did not, a
    mailbox that stays locked would keep each message for twice as long as virtual(8)
    does, and the queue manager has nothing to spare for other mail meanwhile.
    """
    if delay_seconds <= 0:
        return attempts
    return max(min(attempts, 2), attempts - int(waited_seconds / delay_seconds))
