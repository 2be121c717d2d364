"""Cut the power thousands of times: scripts/power-cut.

Every round records each scenario anew, on each file system, and makes other cuts. The
first that break the promise are printed, with the round's number; --seed repeats the
choice of the cuts, not the schedule of the processes.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field

from tests.harness.comparison import POSTVIRT
from tests.power_cut.cuts import Findings, explore
from tests.power_cut.devices import (
    FILE_SYSTEMS,
    FileSystem,
    end_with_parent,
    missing_commands,
    missing_in_kernel,
    own_mounts,
)
from tests.power_cut.recording import SCENARIOS, Scenario, in_memory, record


@dataclass(frozen=True, slots=True)
class _Task:
    """One recording and its cuts."""

    file_system: FileSystem
    scenario: Scenario
    seed: int
    cuts: int

    def __str__(self) -> str:
        return f"{self.file_system.name} {self.scenario.name} --seed {self.seed}"

    def run(self) -> Findings:
        source = random.Random(str(self))
        with in_memory() as root:
            recording = record(self.scenario, self.file_system, POSTVIRT, root)
            return explore(recording, root, source, per_epoch=2, limit=self.cuts)


@dataclass(slots=True)
class _Total:
    """What all tasks on one file system found."""

    recordings: int = 0
    findings: Findings = field(default_factory=Findings)


def main(arguments: Sequence[str]) -> int:
    """0 when the promise was kept, 1 when it was not, 2 when nothing could be tried."""
    options = _parse(arguments)
    reason = missing_in_kernel() or missing_commands()
    if reason:
        print(f"power-cut: {reason}", file=sys.stderr)
        return 2
    chosen = [one for one in FILE_SYSTEMS if options.fs in (None, one.type, one.name)]
    totals = {one.name: _Total() for one in chosen}
    tasks = _tasks(chosen, options.seed, options.cuts)
    print(f"{POSTVIRT}, {options.seconds} seconds, --seed {options.seed}", flush=True)
    for task, findings in _run(tasks, time.monotonic() + options.seconds):
        total = totals[task.file_system.name]
        total.recordings += 1
        total.findings.add(findings)
        for problem in findings.problems:
            print(f"{task}: {problem}", flush=True)
    print(f"{'file system':<20} {'recordings':>10} {'cuts':>10} {'broken':>10}")
    for name, total in totals.items():
        found = total.findings
        print(f"{name:<20} {total.recordings:>10} {found.cuts:>10} {found.broken:>10}")
    return int(any(total.findings.broken for total in totals.values()))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/power-cut",
        description="Deliver mail, cut the power in many places, look for the mail.",
        epilog="POSTVIRT_VIRTUAL in the environment names another program to try.",
    )
    names = sorted({name for one in FILE_SYSTEMS for name in (one.type, one.name)})
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N")
    parser.add_argument("--fs", choices=names, help="only this file system")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument(
        "--cuts", type=int, default=200, metavar="N", help="in each recording, at most"
    )
    return parser.parse_args(arguments)


def _tasks(
    file_systems: Sequence[FileSystem], first_seed: int, cuts: int
) -> Iterator[_Task]:
    for seed in itertools.count(first_seed):
        for scenario, file_system in itertools.product(SCENARIOS, file_systems):
            yield _Task(file_system, scenario, seed, cuts)


def _begin() -> None:
    end_with_parent()
    own_mounts()


def _run(
    tasks: Iterator[_Task], deadline_seconds: float
) -> Iterator[tuple[_Task, Findings]]:
    """As many at a time as there are processors; none begins after the deadline."""
    count = os.cpu_count() or 1
    with ProcessPoolExecutor(count, initializer=_begin) as pool:
        running: dict[Future[Findings], _Task] = {}
        while True:
            while len(running) < count and time.monotonic() < deadline_seconds:
                task = next(tasks)
                running[pool.submit(task.run)] = task
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
