"""What was measured: the curves, and a file of them.

Measuring everything takes long, so axes can be measured one after the other: those that
are not measured now stay as they are in the file.
Raises: OSError, ValueError for a file that this program has not written.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmark.report import Result
from tests.benchmark.trial import Trial
from tests.growth.axes import AXES, Axis

Value = Callable[[Trial], float]


@dataclass(frozen=True, slots=True)
class Curve:
    """One axis: what was measured for each of its values."""

    axis: Axis
    results: Mapping[int, Result]

    def ends(self, value: Value) -> tuple[tuple[float, float], tuple[float, float]]:
        """virtual(8)'s and postvirt's medians for the first value and the last."""
        first, *_ = both = [medians(one, value) for one in self.results.values()]
        theirs, ours = zip(first, both[-1], strict=True)
        return theirs, ours


def medians(result: Result, value: Value) -> tuple[float, float]:
    """virtual(8)'s value, and postvirt's."""
    return (
        statistics.median(map(value, result.genuine)),
        statistics.median(map(value, result.postvirt)),
    )


def save(curves: Sequence[Curve], path: Path) -> None:
    """Write the file."""
    content = {
        curve.axis.what: {
            value: {
                "virtual": [asdict(trial) for trial in result.genuine],
                "postvirt": [asdict(trial) for trial in result.postvirt],
            }
            for value, result in curve.results.items()
        }
        for curve in curves
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def with_kept(curves: Sequence[Curve], path: Path) -> list[Curve]:
    """These curves and the others of a file, in the order of the axes."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    found = {
        axis.what: Curve(axis, _results(axis, kept[axis.what]))
        for axis in AXES
        if axis.what in kept
    } | {curve.axis.what: curve for curve in curves}
    return [found[axis.what] for axis in AXES if axis.what in found]


def _results(axis: Axis, kept: Mapping[str, Any]) -> dict[int, Result]:
    largest = max(map(int, kept))
    return {
        int(value): Result(
            axis.workload(int(value), largest),
            [Trial(**trial) for trial in trials["virtual"]],
            [Trial(**trial) for trial in trials["postvirt"]],
        )
        for value, trials in kept.items()
    }
