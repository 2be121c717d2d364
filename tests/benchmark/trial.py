"""One program, one workload, one new file system.

The queue is filled and on disk before the clock starts, and in the page cache, where
cleanup(8) leaves it. The first message shows what it takes to start. Those after it
only bring up processes, and memory is measured with the last ones: the clock sees
neither. In the end everything has to be there.

Raises: LostMessagesError and what the modules it is made of raise.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from postvirt.standin.instance import Instance
from tests.benchmark import clients, helper
from tests.benchmark.helper import Helper
from tests.benchmark.preparation import prepare
from tests.benchmark.workloads import Mailbox, Workload

# default_process_limit
_PROCESS_LIMIT = 100


class LostMessagesError(Exception):
    """What was delivered is not what was reported as delivered."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What was measured.

    rate                      recipients per second
    cpu_seconds_per_thousand  of all processes of the agent, for 1,000 recipients
    p50_seconds, p99_seconds  from connection to reply, half and 99 % of all requests
    memory_bytes              proportional set size of all processes, the most there was
    first_seconds             from the first connection to its reply: starting included
    first_memory_bytes        as memory_bytes, after the first message
    """

    rate: float
    cpu_seconds_per_thousand: float
    p50_seconds: float
    p99_seconds: float
    memory_bytes: int
    first_seconds: float
    first_memory_bytes: int


def run(workload: Workload, program: Path, root: Path) -> Trial:
    """Measure a program in a new instance on the file system at `root`."""
    instance = Instance(root / "instance")
    # Both programs are known to the world as "virtual".
    virtual = root / "virtual"
    virtual.symlink_to(program)
    requests = prepare(workload, instance)
    os.sync()
    # Two more than clients, because one may be leaving.
    process_limit = max(_PROCESS_LIMIT, workload.clients + 2)
    with helper.running("sink", instance.spool) as sink:
        with helper.running(
            "manager", instance.spool, instance.etc, virtual, process_limit
        ) as manager:
            trial = _measure(workload, instance, requests, manager)
        _check(workload, instance, sink)
    return trial


def _measure(
    workload: Workload, instance: Instance, requests: Sequence[bytes], manager: Helper
) -> Trial:
    path = instance.socket("private/virtual")
    warm_up = workload.warm_up_messages
    measured = warm_up + workload.messages
    first = clients.run(path, requests[:1], 1)
    manager.send("memory")
    first_memory_bytes = int(manager.ask(""))
    clients.run(path, requests[1:warm_up], workload.clients)
    cpu_before = float(manager.ask("cpu"))
    timing = clients.run(path, requests[warm_up:measured], workload.clients)
    cpu_seconds = float(manager.ask("cpu")) - cpu_before
    manager.send("memory")
    clients.run(path, requests[measured:], workload.clients)
    memory_bytes = int(manager.ask(""))
    recipients = workload.messages * workload.recipients
    return Trial(
        recipients / timing.seconds,
        1000 * cpu_seconds / recipients,
        statistics.median(timing.latencies_seconds),
        _percentile(timing.latencies_seconds, 99),
        memory_bytes,
        first.seconds,
        first_memory_bytes,
    )


def _percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[(len(values) - 1) * percent // 100]


def _check(workload: Workload, instance: Instance, sink: Helper) -> None:
    """Every recipient has the message, or every bounce was asked for."""
    wanted = workload.all_messages * workload.recipients
    if workload.mailbox is Mailbox.UNKNOWN:
        found = int(sink.ask("bounces"))
    else:
        found = sum(_delivered(workload, instance.mail))
    problem = sink.ask("problem")
    output = instance.etc / "output"
    if output.exists():
        problem = problem or output.read_text(errors="replace")
    if found != wanted:
        raise LostMessagesError(f"{found} of {wanted} delivered; {problem}")
    if problem:
        raise LostMessagesError(problem)


def _delivered(workload: Workload, mail: Path) -> Iterator[int]:
    """How many messages are in each mailbox."""
    for mailbox in mail.iterdir():
        if workload.mailbox is Mailbox.MBOX:
            with mailbox.open("rb") as file:
                file.seek(workload.held)
                yield b"\n\n".join((b"", file.read())).count(b"\n\nFrom ")
        else:
            for entry in os.scandir(mailbox / "new"):
                # The message begins with lines that the agent has added.
                yield int(entry.stat().st_size > workload.size_bytes)
