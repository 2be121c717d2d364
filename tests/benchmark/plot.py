"""Results as a picture (SVG).

A row for each workload, in it a bar for each quantity: the median of the ratios of
postvirt's value to virtual(8)'s, with a dot for each round.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.benchmark.report import Result, cpu, rate
from tests.benchmark.trial import Trial

# All lengths are in pixels.
_LABEL_WIDTH = 250
_SCALE_WIDTH = 420
_ROW_HEIGHT = 40
_BAR_HEIGHT = 11
_TOP = 64
_BARS: Mapping[str, tuple[Callable[[Trial], float], str]] = {
    "rate": (rate, "#2f6fab"),
    "CPU per recipient": (cpu, "#d98032"),
}


def plot(results: Sequence[Result], store: str, rounds: int) -> str:
    """The ratios as an SVG picture."""
    width = _LABEL_WIDTH + _SCALE_WIDTH + 60
    height = _TOP + _ROW_HEIGHT * len(results) + 34
    largest = max(
        [1.0, *(one for result in results for one in _all_ratios(result))],
    )
    pixels = _SCALE_WIDTH / largest
    title = f"postvirt by virtual(8), {store}, median of {rounds} rounds"
    lines = [
        '<svg xmlns="http://www.w3.org/2000/svg"',
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="8" y="20" font-size="15">{title}</text>',
        *_legend(),
        *_grid(largest, pixels, height),
        *(
            line
            for number, result in enumerate(results)
            for line in _row(result, _TOP + _ROW_HEIGHT * number, pixels)
        ),
        "</svg>\n",
    ]
    return "\n".join(lines)


def _all_ratios(result: Result) -> Iterator[float]:
    for value, _ in _BARS.values():
        yield from result.ratios(value)


def _legend() -> Iterator[str]:
    x = _LABEL_WIDTH
    for name, (_, colour) in _BARS.items():
        yield f'<rect x="{x}" y="32" width="12" height="12" fill="{colour}"/>'
        yield f'<text x="{x + 17}" y="42">{name}</text>'
        x += 140


def _grid(largest: float, pixels: float, height: int) -> Iterator[str]:
    step = 0.5 if largest < 4 else 1.0
    for number in range(int(largest / step) + 1):
        x = _LABEL_WIDTH + number * step * pixels
        colour = "black" if number * step == 1 else "#cccccc"
        yield (
            f'<path d="M{x:.1f} {_TOP - 6}V{height - 26}" stroke="{colour}"/>'
            f'<text x="{x:.1f}" y="{height - 10}" text-anchor="middle">'
            f"{number * step:g}</text>"
        )


def _row(result: Result, top: int, pixels: float) -> Iterator[str]:
    yield f'<text x="8" y="{top + 16}">{result.workload.summary}</text>'
    for number, (value, colour) in enumerate(_BARS.values()):
        ratios = result.ratios(value)
        median = statistics.median(ratios)
        y = top + number * (_BAR_HEIGHT + 2)
        middle = y + _BAR_HEIGHT / 2
        yield (
            f'<rect x="{_LABEL_WIDTH}" y="{y}" width="{median * pixels:.1f}" '
            f'height="{_BAR_HEIGHT}" fill="{colour}" opacity="0.8"/>'
        )
        for ratio in ratios:
            x = _LABEL_WIDTH + ratio * pixels
            yield f'<circle cx="{x:.1f}" cy="{middle}" r="2" fill="#222222"/>'
        x = _LABEL_WIDTH + max(ratios) * pixels + 6
        yield f'<text x="{x:.1f}" y="{y + 10}">{median:.2f}</text>'
