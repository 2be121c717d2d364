"""How many processors there are for this process, and how much they are used.

Source: sched(7), proc(5).
Raises: nothing; what cannot be read counts as nothing.
"""

from __future__ import annotations

import os

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def usable() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def idle_seconds() -> float:
    """For how long they have been idle since the machine was started, in all."""
    wanted = {b"cpu%d" % number for number in os.sched_getaffinity(0)}
    ticks = 0
    try:
        with open("/proc/stat", "rb") as file:
            lines = file.readlines()
    except OSError:
        return 0.0
    for line in lines:
        name, *times = line.split()
        if name in wanted:
            ticks += int(times[3]) + int(times[4])  # idle, and waiting for a disk
    return ticks / _TICKS_PER_SECOND
