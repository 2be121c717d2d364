"""Tables of the curves in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tests.benchmark.report import Result, conditions, rate
from tests.benchmark.trial import Trial
from tests.growth.results import Curve, Value, medians

_MIB = 1 << 20


def cpu_microseconds(trial: Trial) -> float:
    """CPU time for a recipient."""
    return 1000 * trial.cpu_seconds_per_thousand


def _first_milliseconds(trial: Trial) -> float:
    return 1000 * trial.first_seconds


def _first_memory(trial: Trial) -> float:
    return trial.first_memory_bytes / _MIB


_COLUMNS: Mapping[str, tuple[Value, str]] = {
    "CPU us per recipient": (cpu_microseconds, "{:.0f}"),
    "recipients/s": (rate, "{:.0f}"),
    "first reply ms": (_first_milliseconds, "{:.0f}"),
    "memory then, MB": (_first_memory, "{:.1f}"),
}


def report(curves: Sequence[Curve], rounds: int) -> str:
    """How the cost of a recipient grows along each axis, then every value."""
    parts = [_overview(curves), *map(_details, curves)]
    parts.append(
        f"{conditions('ext4, memory', rounds)} The first reply includes the start of"
        " the program. Growth is the cost with the last value by that with the first.\n"
    )
    return "\n".join(parts)


def _overview(curves: Sequence[Curve]) -> str:
    rows = [["what grows", "from", "to", "CPU virtual(8)", "growth", "CPU", "growth"]]
    for curve in curves:
        values = list(curve.results)
        row = [curve.axis.what, f"{values[0]:,}", f"{values[-1]:,}"]
        for first, last in curve.ends(cpu_microseconds):
            row += [f"{first:.0f} to {last:.0f} us", f"{last / first:.2f}"]
        rows.append(row)
    return _table(rows)


def _details(curve: Curve) -> str:
    rows = [[curve.axis.what, *_COLUMNS]]
    for number, result in curve.results.items():
        rows.append([f"{number:,}", *_cells(result)])
    return _table(rows)


def _cells(result: Result) -> Iterator[str]:
    for value, form in _COLUMNS.values():
        yield " / ".join(map(form.format, medians(result, value)))


def _table(rows: list[list[str]]) -> str:
    rows.insert(1, ["---"] * len(rows[0]))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
