"""How mbox files are locked, by the parameters of the configuration."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import NamedTuple

from postvirt.system import locks
from postvirt.system.clock import time_of_day


class Locking(NamedTuple):
    """How to lock an mbox file.

    styles are words of virtual_mailbox_lock; a lock that another process holds is tried
    `attempts` times, about delay_seconds apart; a dot lock that has not changed for
    stale_seconds is removed. now is the clock for that.
    """

    styles: AbstractSet[str]
    attempts: int
    delay_seconds: float
    stale_seconds: int
    now: locks.Now = time_of_day
