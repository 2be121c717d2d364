"""Results, and the table of them in Markdown."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmark.trial import Trial
from tests.benchmark.workloads import Workload

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Result:
    """One workload: the trials of both programs, round by round."""

    workload: Workload
    genuine: Sequence[Trial]
    postvirt: Sequence[Trial]

    def ratios(self, value: Callable[[Trial], float]) -> list[float]:
        """postvirt's value by virtual(8)'s, of each round."""
        return [
            value(ours) / value(theirs)
            for theirs, ours in zip(self.genuine, self.postvirt, strict=True)
        ]


def rate(trial: Trial) -> float:
    """Recipients per second."""
    return trial.rate


def cpu(trial: Trial) -> float:
    """CPU seconds for 1,000 recipients."""
    return trial.cpu_seconds_per_thousand


def memory(trial: Trial) -> float:
    """Memory of all processes, in MB."""
    return trial.memory_bytes / _MIB


_COLUMNS: Mapping[str, Callable[[Result], str]] = {
    "workload": lambda result: result.workload.summary,
    "recipients/s": lambda result: _both(result, rate, "{:.0f}"),
    "ratio (lowest to highest)": lambda result: _spread(result.ratios(rate)),
    "CPU s per 1,000": lambda result: _both(result, cpu, "{:.2f}"),
    "CPU ratio": lambda result: f"{statistics.median(result.ratios(cpu)):.2f}",
    "p50 ms": lambda result: _both(result, _p50, "{:.1f}"),
    "p99 ms": lambda result: _both(result, _p99, "{:.1f}"),
    "memory MB": lambda result: _both(result, memory, "{:.0f}"),
}


def table(results: Sequence[Result], store: str, rounds: int) -> str:
    """Everything as a table, medians of all rounds, virtual(8)'s value first."""
    rows = [list(_COLUMNS), ["---"] * len(_COLUMNS)]
    rows += [[cell(result) for cell in _COLUMNS.values()] for result in results]
    lines = [f"| {' | '.join(row)} |\n" for row in rows]
    return f"{''.join(lines)}\n{conditions(store, rounds)}\n"


def _p50(trial: Trial) -> float:
    return 1000 * trial.p50_seconds


def _p99(trial: Trial) -> float:
    return 1000 * trial.p99_seconds


def _both(result: Result, value: Callable[[Trial], float], form: str) -> str:
    medians = (
        statistics.median(map(value, trials))
        for trials in (result.genuine, result.postvirt)
    )
    return " / ".join(map(form.format, medians))


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def conditions(store: str, rounds: int) -> str:
    """How it was measured, in a few sentences."""
    return (
        f"Medians of {rounds} rounds, virtual(8) first, then postvirt. Store: {store}. "
        f"{os.cpu_count()} x {_processor()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()
