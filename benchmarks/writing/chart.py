"""Curves as SVG: text, readable in light and dark, small enough for a repository."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 700, 340
LEFT, RIGHT, TOP, BOTTOM = 80, 200, 20, 52

#: Readable on white and on black, and apart for those who see fewer colours; the dashes say the same once more.
COLOURS = ("#0b7bc1", "#c9560c", "#2b8a57", "#9a5fc0")
DASHES = ("", "7 4", "2 3", "10 3 2 3")
INK = "#7a7a7a"

Line = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """:ivar lines: by name, each a sequence of points from left to right.
    :ivar linear: else it is logarithmic across, so that 1 and 100,000 are both there; 0 counts as 1.
    """

    title: str
    x_label: str
    y_label: str
    lines: Mapping[str, Line]
    linear: bool = False

    def render(self) -> str:
        """The picture, as a document of SVG."""
        xs = [x for line in self.lines.values() for x, _ in line]
        scale = _Scale(min(xs), max(xs), _ceiling(max(y for line in self.lines.values() for _, y in line)), self.linear)
        body = [
            *_axes(scale, sorted(set(xs)), self),
            *(part for number, each in enumerate(self.lines.items()) for part in _curve(scale, number, *each)),
        ]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'font-family="sans-serif" font-size="12" fill="{INK}">\n<title>{escape(self.title)}</title>\n'
            + "\n".join(body)
            + "\n</svg>\n"
        )


@dataclass(frozen=True)
class _Scale:
    """From values to places."""

    first: float
    last: float
    top: float
    linear: bool

    def x(self, value: float) -> float:
        low, high, at = map(float if self.linear else _log, (self.first, self.last, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - max(0.0, value) / self.top * (HEIGHT - TOP - BOTTOM)


def _log(value: float) -> float:
    return math.log10(max(1.0, value))


def _ceiling(value: float) -> float:
    """The next round number."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value))


def _axes(scale: _Scale, xs: Sequence[float], chart: Chart) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for step in range(5):
        value = scale.top * step / 4
        y = scale.y(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{INK}" stroke-opacity="{0.25 if step else 0.8}"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{value:,.6g}", "end"))
    last = -math.inf
    for x in xs:
        if scale.x(x) - last > 34:
            last = scale.x(x)
            parts.append(_text(last, bottom + 18, _short(x)))
    parts.append(_text((LEFT + right) / 2, HEIGHT - 10, chart.x_label))
    parts.append(
        f'<text transform="translate(14 {(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(chart.y_label)}</text>"
    )
    return parts


def _curve(scale: _Scale, number: int, name: str, line: Line) -> list[str]:
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
    points = " ".join(f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y in line)
    style = (
        f'stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        if dash
        else f'stroke="{colour}" stroke-width="2"'
    )
    dots = [f'<circle cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="3" fill="{colour}"/>' for x, y in line]
    left, y = WIDTH - RIGHT + 16, TOP + 12 + 22 * number
    legend = f'<path d="M{left} {y - 4}h24" {style}/>' + _text(left + 30, y, name, "start")
    return [f'<polyline points="{points}" fill="none" {style}/>', *dots, legend]


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _short(value: float) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
