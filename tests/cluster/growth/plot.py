"""Deliveries per second for 1 to 1,000 hosts as a picture (SVG).

Both scales are logarithmic. A slope is what hosts could deliver, a level what one or
more of another part can do; dots were measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

# All lengths are in pixels.
_WIDTH, _HEIGHT = 520, 300
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 50, 190, 45
_COLOURS = ("#2f6fab", "#d98032", "#4c8c4a", "#8a4f9e", "#a33d3d")

HOSTS = (1, 3, 10, 100, 1000)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: the rate for each number of hosts."""

    name: str
    rates: Mapping[int, float]


def plot(lines: Sequence[Line], measured: Mapping[int, float]) -> str:
    """The picture; measured are rates by number of hosts."""
    rates = [rate for line in lines for rate in line.rates.values()]
    rates += measured.values()
    low = math.floor(math.log10(min(rates)))
    high = math.ceil(math.log10(max(rates)))

    def x(hosts: int) -> float:
        return _LEFT + _WIDTH * math.log10(hosts) / math.log10(HOSTS[-1])

    def y(rate: float) -> float:
        return _TOP + _HEIGHT * (high - math.log10(rate)) / (high - low)

    def drawn() -> Iterator[str]:
        for power in range(low, high + 1):
            at = y(10.0**power)
            yield f'<path d="M{_LEFT} {at:.1f}h{_WIDTH}" stroke="#dddddd"/>'
            yield (
                f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">'
                f"{10**power:,}</text>"
            )
        for hosts in HOSTS:
            yield (
                f'<text x="{x(hosts):.1f}" y="{_TOP + _HEIGHT + 18}" '
                f'text-anchor="middle">{hosts:,}</text>'
            )
        for number, line in enumerate(lines):
            colour = _COLOURS[number % len(_COLOURS)]
            points = [(x(one), y(rate)) for one, rate in sorted(line.rates.items())]
            path = " ".join(f"{one:.1f},{other:.1f}" for one, other in points)
            yield (
                f'<polyline points="{path}" fill="none" stroke="{colour}" '
                'stroke-width="2"/>'
            )
            yield (
                f'<text x="{points[-1][0] + 6:.1f}" y="{points[-1][1] + 4:.1f}" '
                f'fill="{colour}">{line.name}</text>'
            )
        yield (
            f'<text x="{_LEFT + _WIDTH / 2}" y="{_TOP + _HEIGHT + 36}" '
            'text-anchor="middle">hosts (dots: all on one small machine)</text>'
        )
        for hosts, rate in measured.items():
            yield f'<circle cx="{x(hosts):.1f}" cy="{y(rate):.1f}" r="4"/>'

    width, height = _LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + _BOTTOM
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg"',
            f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
            '<text x="8" y="22" font-size="15">Deliveries per second</text>',
            *drawn(),
            "</svg>\n",
        ]
    )
