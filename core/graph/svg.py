"""A network as an SVG picture: it opens without a network and without a script. No torch."""

from collections.abc import Mapping
from xml.sax.saxutils import escape

from core import numbers
from core.graph.drawn import Drawing, opened, seen
from core.graph.layout import laid
from core.graph.shown import Shown
from core.sensitivity.maps.colours import LIGHT, limit_colour

MOST = 60  # boxes, before stages and blocks are folded
WIDE, TALL, SMALL, CHARS = 196.0, 58.0, 26.0, 28
MARGIN, KEY = 24.0, 86.0
UNKNOWN, TEXT, QUIET, LINE, GONE = "#ffffff", "#14201a", "#48524d", "#7c8781", "#a8324c"


def colour(limit: float | None) -> str:
    """Of a box whose limit is known; white where it is not."""
    return UNKNOWN if limit is None else limit_colour(limit, LIGHT)


def picture(
    drawing: Drawing, values: Mapping[str, Shown], title: str, notes: tuple[str, ...] = (), most: int = MOST
) -> str:
    """The picture as SVG text.

    Args:
        drawing: of the network.
        values: of `shown`, of the same drawing.
        title: above it.
        notes: lines below the title: of what the colours are, at which tolerance.
        most: boxes that are seen at most; stages and blocks are folded to it, as far as that goes.
    """
    reads = seen(drawing, opened(drawing, most))
    sizes = {name: (WIDE, TALL if values[name].n_layers else SMALL) for name in reads}
    place = laid(reads, sizes)
    notes = (*notes, *((f"no edges: {drawing.reason}",) if drawing.reason else ()))
    top = MARGIN + 22 + 16 * len(notes) + KEY
    width = max(place.width + 2 * MARGIN, 560.0)
    shift = (width - place.width) / 2
    height = top + place.height + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="system-ui, sans-serif" font-size="12" fill="{TEXT}" role="img">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="#fbfcfb"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 10}" font-size="16" font-weight="600">{escape(title)}</text>',
    ]
    for i, note in enumerate(notes):
        parts.append(f'<text x="{MARGIN}" y="{MARGIN + 32 + 16 * i}" fill="{QUIET}">{escape(_cut(note, 110))}</text>')
    parts += _key(top - KEY + 20)
    parts.append(f'<g transform="translate({shift:.1f} {top:.1f})">')
    for start, end, ways in place.edges:
        (x0, y0), (x1, y1) = place.places[start], place.places[end]
        points = [(x0, y0 + sizes[start][1] / 2), *ways, (x1, y1 - sizes[end][1] / 2)]
        parts.append(f'<path d="{_curve(points)}" fill="none" stroke="{LINE}" stroke-width="1.2"/>')
    for name in reads:
        parts.append(_box(values[name], *place.places[name], *sizes[name]))
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def _key(y: float) -> list[str]:
    parts = [f'<text x="{MARGIN}" y="{y}" fill="{QUIET}">may go within the tolerance:</text>']
    x = MARGIN
    labels = ("not measured", "less, or none known", "from 20 %", "40 %", "60 %", "80 %")
    for fill, label in zip((UNKNOWN, *LIGHT.limits), labels, strict=True):
        dash = ' stroke-dasharray="3 2"' if fill == UNKNOWN else ""
        parts.append(f'<rect x="{x:.0f}" y="{y + 8}" width="12" height="12" fill="{fill}" stroke="{LINE}"{dash}/>')
        parts.append(f'<text x="{x + 17:.0f}" y="{y + 18}">{escape(label)}</text>')
        x += 34 + 6.6 * len(label)
    parts.append(f'<rect x="{MARGIN}" y="{y + 32}" width="40" height="4" fill="{GONE}"/>')
    parts.append(
        f'<text x="{MARGIN + 48}" y="{y + 38}" fill="{QUIET}">share of the weights that the plan removes</text>'
    )
    return parts


def _box(value: Shown, x: float, y: float, wide: float, tall: float) -> str:
    left, top = x - wide / 2, y - tall / 2
    is_folded = value.id.startswith("group:")
    is_layer = value.n_layers > 0
    dash = ' stroke-dasharray="4 3"' if is_layer and value.limit is None else ""
    parts = [f"<g><title>{escape(chr(10).join(value.tip))}</title>"]
    if is_folded:  # a stack of sheets
        parts.append(
            f'<rect x="{left + 4:.1f}" y="{top + 4:.1f}" width="{wide}" height="{tall}" rx="6" fill="#e3e8e5" '
            f'stroke="{LINE}"/>'
        )
    fill = colour(value.limit) if is_layer else "#eef2ef"
    parts.append(
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide}" height="{tall}" rx="6" fill="{fill}" '
        f'stroke="{LINE}"{dash}/>'
    )
    name = value.path if is_layer and value.path else value.label
    if not is_layer:
        parts.append(_text(x, y + 4, value.label, anchor="middle"))
        return "".join([*parts, "</g>"])
    parts.append(_text(left + 10, top + 17, _cut(name, CHARS), weight=600))
    second = value.widths or (f"{value.what}, {value.n_layers} layers" if is_folded else value.what)
    parts.append(_text(left + 10, top + 33, _cut(second, CHARS + 4), QUIET, 11))
    third = [f"{numbers.share_text(value.share)} of parameters"]
    third += [f"{numbers.milliseconds_text(value.milliseconds / 1000)} ms"] if value.milliseconds is not None else []
    parts.append(_text(left + 10, top + 47, " · ".join(third), QUIET, 11))
    if value.gone:
        parts.append(
            f'<rect x="{left + 1:.1f}" y="{top + tall - 5:.1f}" width="{(wide - 2) * value.gone:.1f}" height="4" '
            f'fill="{GONE}"/>'
        )
    return "".join([*parts, "</g>"])


def _text(
    x: float, y: float, text: str, fill: str = TEXT, size: int = 12, weight: int = 400, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _cut(text: str, most: int) -> str:
    """Its end says more than its beginning: paths share that."""
    return text if len(text) <= most else "…" + text[-(most - 1) :]


def _curve(points: list[tuple[float, float]]) -> str:
    (x, y), *rest = points
    parts = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in rest:
        middle = (y + to_y) / 2
        parts.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return "".join(parts)
