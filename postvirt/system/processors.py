"""How many processors there are for this process, and how much they are used.

Source: sched(7), proc(5).
Raises: nothing; what cannot be read counts as nothing.
"""

from __future__ import annotations

import os
import resource

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def usable() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def idle_seconds() -> float:
    """For how long they have been idle since the machine was started, in all."""
    wanted = {b"cpu%d" % number for number in os.sched_getaffinity(0)}
    ticks = 0
    for line in _read("/proc/stat").splitlines():
        name, *times = line.split()
        if name in wanted:
            ticks += int(times[3]) + int(times[4])  # idle, and waiting for a disk
    return ticks / _TICKS_PER_SECOND


def used_seconds(pid: int) -> float:
    """For how long a process has used a processor."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return sum(map(int, fields[11:13])) / _TICKS_PER_SECOND  # in user and system mode


def used_by_ended_children() -> float:
    """For how long those children of this process used one that were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
