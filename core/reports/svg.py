"""A sheet of squares as SVG text: no script, no network, readable in light and dark, on paper and in a notebook."""

from collections.abc import Sequence
from html import escape

from core.reports.sheets import Sheet, Square
from core.sensitivity.maps.colours import DARK, LIGHT, PALE

CELL, ROW, TOP, LETTER = 46, 18, 22, 6.2  # pixels; of a letter its width on average
MOST_LETTERS = 44  # of a label; a longer one keeps its beginning and its end
Places = Sequence[tuple[int, int, Square]]


# attributes say the light colours, so that a reader without styles sees them; the style turns them dark
STYLE = (
    "<style>@media (prefers-color-scheme:dark){"
    + "".join(
        f".sec-s{i}{{fill:{colour}}}.sec-t{i}{{fill:{ink}}}"
        for i, (colour, ink) in enumerate(zip(DARK.cells, DARK.inks, strict=True))
    )
    + "}</style>"
)


def sheet_svg(sheet: Sheet, spoken: str) -> str:
    """A sheet as an SVG element.

    Args:
        sheet: of any size; one without rows gives an empty text.
        spoken: what it shows, for those who do not see it.
    """
    if not sheet.rows:
        return ""
    labels = [_short(name) for name in sheet.rows]
    left = round(max(map(len, labels)) * LETTER) + 10
    width, height = left + CELL * len(sheet.columns) + 2, TOP + ROW * len(sheet.rows) + 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(spoken)}" font-family="system-ui,sans-serif" font-size="11">{STYLE}'
    ]
    parts.append('<g fill="currentColor" text-anchor="middle">')
    parts += [f'<text x="{left + CELL * i + 23}" y="14">{escape(one)}</text>' for i, one in enumerate(sheet.columns)]
    parts.append('</g><g fill="currentColor" text-anchor="end">')
    for i, (label, name) in enumerate(zip(labels, sheet.rows, strict=True)):
        full = f"<title>{escape(name)}</title>" if label != name else ""
        parts.append(f'<text x="{left - 6}" y="{TOP + ROW * i + 13}">{full}{escape(label)}</text>')
    parts.append("</g>")
    groups: dict[tuple[int, bool], list[tuple[int, int, Square]]] = {}
    for (row, column), square in sheet.squares.items():
        step = -1 if square.step is None else square.step
        groups.setdefault((step, square.pale), []).append((row, column, square))
    for (step, pale), places in sorted(groups.items()):
        parts += _group(left, step, pale, places)
    return "".join([*parts, "</svg>"])


def _group(left: int, step: int, pale: bool, places: Places) -> list[str]:
    """Squares of one colour, and the words on them."""
    if step < 0:
        look, ink = 'fill="none" stroke="currentColor" stroke-opacity=".25"', 'fill="currentColor"'
    else:
        look = f'class="sec-s{step}" fill="{LIGHT.cells[step]}"' + (f' fill-opacity="{PALE}"' if pale else "")
        ink = 'fill="currentColor"' if pale else f'class="sec-t{step}" fill="{LIGHT.inks[step]}"'
    squares = [
        f'<rect x="{left + CELL * column}" y="{TOP + ROW * row}" width="44" height="16">'
        f"<title>{escape(square.told)}</title></rect>"
        for row, column, square in places
    ]
    words = [
        f'<text x="{left + CELL * column + 22}" y="{TOP + ROW * row + 12}">{escape(square.shown)}</text>'
        for row, column, square in places
        if square.shown
    ]
    held = f'<g {ink} font-size="10" text-anchor="middle" pointer-events="none">{"".join(words)}</g>' if words else ""
    return [f"<g {look}>", *squares, "</g>", held]


def key_svg(steps: Sequence[tuple[int, str]]) -> str:
    """The key to the colours in a line: a box and a label for each step."""
    parts, x = [], 0
    for step, label in steps:
        width = 30 + round(len(label) * LETTER)
        box = f'<rect class="sec-s{step}" fill="{LIGHT.cells[step]}" stroke="currentColor" stroke-opacity=".3" '
        parts.append(f'{box}x="{x + 1}" y="1" width="14" height="14"/><text x="{x + 20}" y="12">{escape(label)}</text>')
        x += width
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {x} 16" width="{x}" height="16" role="img" '
        f'aria-label="key to the colours" font-family="system-ui,sans-serif" font-size="11" fill="currentColor">{STYLE}'
        f"{''.join(parts)}</svg>"
    )


def _short(name: str) -> str:
    """A name that keeps its beginning and its end."""
    if len(name) <= MOST_LETTERS:
        return name
    half = (MOST_LETTERS - 1) // 2
    return f"{name[:half]}…{name[-half:]}"
