"""What a process and all its descendants have used: CPU time and memory.

Works without control groups, so that it works everywhere.
Raises: OSError.
"""

from __future__ import annotations

import os
import re
import resource
import time
from pathlib import Path

_PSS = re.compile(rb"^Pss: +([0-9]+) kB$", re.MULTILINE)
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def descendants() -> list[int]:
    """The children of this process, and theirs."""
    parents = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            fields = _stat(int(entry.name))
            if fields:
                parents[int(entry.name)] = int(fields[1])
    found = [os.getpid()]
    for pid in found:  # which grows
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def cpu_seconds() -> float:
    """CPU time of all descendants, those included that were waited for."""
    while True:
        before = _of_reaped_children()
        running = sum(map(_cpu_seconds_of, descendants()))
        if before == _of_reaped_children():  # otherwise one of them was in between
            return before + running


def memory_bytes() -> int:
    """The memory of all descendants, shared pages in proportion (PSS)."""
    return sum(map(_memory_bytes_of, descendants()))


def _stat(pid: int) -> list[bytes]:
    """What follows the name in /proc/PID/stat; nothing if there is no such process."""
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return content.rpartition(b") ")[2].split()


def _of_reaped_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _cpu_seconds_of(pid: int) -> float:
    fields = _stat(pid)
    if not fields:
        return 0.0
    reaped = (int(fields[13]) + int(fields[14])) / _TICKS_PER_SECOND
    # The clock of another process, which is precise; /proc/PID/stat counts ticks.
    clock = ~pid << 3 | 2  # clock_getcpuclockid(3)
    try:
        return reaped + time.clock_gettime(clock)
    except OSError:
        return 0.0


def _memory_bytes_of(pid: int) -> int:
    try:
        content = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = _PSS.search(content)
    return 1024 * int(found[1]) if found else 0
