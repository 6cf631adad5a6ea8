"""Bars with intervals as SVG text, for a page that must open without a network and without a script."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, LABELS, VALUES, ROW, BAR = 640, 150, 200, 26, 14
COLOURS = ("#8f9a94", "#2f7d5b", "#4b5fa8", "#c2562d", "#8a6d1d", "#8b3a74")


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        label: on its left.
        value: its length, at least 0; `None` draws none.
        text: on its right; a value that was not measured says so here.
        low, high: of its interval, if it has one.
    """

    label: str
    value: float | None
    text: str
    low: float | None = None
    high: float | None = None


def bars(title: str, rows: Sequence[Bar], alike: bool = False) -> str:
    """An SVG picture of horizontal bars that begin at 0, with whiskers where there is an interval.

    Args:
        title: for those who do not see it.
        rows: from the top. Values may be negative, as drops are; then 0 is not at the left.
        alike: all bars have one colour; else each has its own.
    """
    ends = [end for row in rows for end in (row.value, row.low, row.high) if end is not None and math.isfinite(end)]
    least, most = min(0.0, *ends, 0.0), max(0.0, *ends, 0.0)
    room = WIDTH - LABELS - VALUES

    def x(value: float) -> float:
        inside = min(max(value, least), most)
        return LABELS + room * ((inside - least) / (most - least) if most > least else 0.0)

    height = ROW * len(rows) + 4
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-size="13" '
        f'aria-label="{escape(title, {chr(34): "&quot;"})}"><title>{escape(title)}</title>'
    ]
    for i, row in enumerate(rows):
        top, middle = i * ROW + 2 + (ROW - BAR) / 2, i * ROW + 2 + ROW / 2
        parts.append(_text(LABELS - 8, middle, row.label, "end", "currentColor"))
        if row.value is not None and math.isfinite(row.value):
            left, right = sorted((x(0.0), x(row.value)))
            parts.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 1):.1f}" height="{BAR}" '
                f'fill="{COLOURS[1 if alike else i % len(COLOURS)]}"/>'
            )
        if row.low is not None and row.high is not None and math.isfinite(row.low) and math.isfinite(row.high):
            parts.append(
                f'<path d="M{x(row.low):.1f} {middle:.1f}H{x(row.high):.1f}M{x(row.low):.1f} {middle - 4:.1f}v8'
                f'M{x(row.high):.1f} {middle - 4:.1f}v8" stroke="currentColor" fill="none"/>'
            )
        parts.append(_text(WIDTH - VALUES + 8, middle, row.text, "start", "currentColor"))
    return "".join((*parts, "</svg>"))


def _text(x: float, y: float, text: str, anchor: str, colour: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" dominant-baseline="central" fill="{colour}">'
        f"{escape(text)}</text>"
    )
