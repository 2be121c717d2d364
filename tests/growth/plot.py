"""The curves as a picture (SVG).

A panel for each axis, all with the same logarithmic scale of CPU time for a recipient:
a line through the medians, and a dot for each round.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

from tests.benchmark.trial import Trial
from tests.growth.report import cpu_microseconds
from tests.growth.results import Curve

# All lengths are in pixels.
_COLUMNS = 4
_WIDTH, _HEIGHT = 190, 130
_LEFT, _TOP = 50, 74
_ACROSS, _DOWN = _WIDTH + 30, _HEIGHT + 54
_COLOURS = {"virtual(8)": "#d98032", "postvirt": "#2f6fab"}
_STEPS = (1, 2, 5)


class _Scale:
    """Microseconds to pixels: from one of the steps to another."""

    def __init__(self, values: Sequence[float]) -> None:
        steps = [step * 10**power for power in range(7) for step in _STEPS]
        low = max(one for one in steps if one <= max(1.0, min(values)))
        high = min(one for one in steps if one >= max(values))
        self.steps = [one for one in steps if low <= one <= max(high, 2 * low)]

    def y(self, value: float) -> float:
        """The distance from the top of a panel."""
        low, high = self.steps[0], self.steps[-1]
        return _HEIGHT * (1 - math.log(value / low) / math.log(high / low))


def plot(curves: Sequence[Curve]) -> str:
    """CPU time for a recipient, as everything grows."""
    every = [
        cpu_microseconds(trial)
        for curve in curves
        for _, trials in _trials(curve)
        for one in trials.values()
        for trial in one
    ]
    scale = _Scale(every)
    rows = math.ceil(len(curves) / _COLUMNS)
    width = _LEFT + _COLUMNS * _ACROSS
    height = _TOP + rows * _DOWN
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg"',
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        '<text x="8" y="20" font-size="15">CPU time per recipient (µs)</text>',
        *_legend(),
    ]
    for number, curve in enumerate(curves):
        row, column = divmod(number, _COLUMNS)
        x, y = _LEFT + column * _ACROSS, _TOP + row * _DOWN
        lines += [f'<g transform="translate({x} {y})">', *_panel(curve, scale), "</g>"]
    return "\n".join([*lines, "</svg>\n"])


def _trials(curve: Curve) -> Iterator[tuple[int, Mapping[str, Sequence[Trial]]]]:
    for value, result in curve.results.items():
        yield value, dict(zip(_COLOURS, (result.genuine, result.postvirt), strict=True))


def _legend() -> Iterator[str]:
    for number, (name, colour) in enumerate(_COLOURS.items()):
        x = 8 + 110 * number
        yield f'<path d="M{x} 38h20" stroke="{colour}" stroke-width="2"/>'
        yield f'<text x="{x + 26}" y="42">{name}</text>'


def _panel(curve: Curve, scale: _Scale) -> Iterator[str]:
    yield f'<text x="0" y="-8">{curve.axis.what}</text>'
    for step in scale.steps:
        y = scale.y(step)
        yield f'<path d="M0 {y:.1f}H{_WIDTH}" stroke="#dddddd"/>'
        yield f'<text x="-5" y="{y + 4:.1f}" text-anchor="end">{step}</text>'
    places = _places(list(curve.results))
    for value, x in places.items():
        yield f'<path d="M{x:.1f} 0V{_HEIGHT}" stroke="#dddddd"/>'
        yield (
            f'<text x="{x:.1f}" y="{_HEIGHT + 15}" text-anchor="middle">'
            f"{_power(value)}</text>"
        )
    for name, colour in _COLOURS.items():
        points = []
        for value, trials in _trials(curve):
            costs = [cpu_microseconds(trial) for trial in trials[name]]
            x = places[value]
            points.append(f"{x:.1f},{scale.y(statistics.median(costs)):.1f}")
            for y in map(scale.y, costs):
                yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}"/>'
        line = f'fill="none" stroke="{colour}" stroke-width="2"'
        yield f'<polyline points="{" ".join(points)}" {line}/>'


def _places(values: Sequence[int]) -> Mapping[int, float]:
    """Side by side, as they are powers of ten; 0 comes before the first of them."""
    apart = _WIDTH / max(1, len(values) - 1)
    return {value: number * apart for number, value in enumerate(values)}


def _power(value: int) -> str:
    """0, or a power of ten."""
    if value < 1000:
        return str(value)
    return f'10<tspan dy="-4" font-size="8">{len(str(value)) - 1}</tspan>'
