"""Whatever is written on the map's canvas can be read: each word and mark against what was painted below it."""

import base64
import re
from xml.etree import ElementTree

import pytest

from core.plans.plan import Cut
from core.sensitivity.maps.colours import BETTER_ENDS, WORSE_ENDS, contrast
from core.sensitivity.maps.layout import sparsity_grid
from core.sensitivity.maps.marks import MARKS
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.metric import accuracy
from dashboard.frame.theme import DARK, LIGHT, STREAMLIT_THEME
from dashboard.maps.component import JS
from dashboard.maps.data import map_data, map_text
from tests.browser.bare_map import THEMES, open_map
from tests.browser.legible import LEAST_CONTRAST

pytestmark = [pytest.mark.browser]
LEAST_OF_SHAPES = 3.0  # WCAG 2.2, 1.4.11, for what is no text
TOLERANCE = 0.01
# in the middle of each step of the colours
DROPS = [TOLERANCE * end * 0.9 for end in WORSE_ENDS] + [0.5] + [-TOLERANCE * end * 0.9 for end in BETTER_ENDS] + [-0.5]
PALETTES = {"light": LIGHT, "dark": DARK}
# every row as it is under the pointer and not, by what paints the screen
PAINT = """async source => {
    const { svgPen, wholeOf, paintWhole } = await import('data:text/javascript;base64,' + source)
    const map = window.host.querySelector('.map').secateur
    const drawn = pointed => {
        const { whole, width, height } = wholeOf(map)
        whole.pointed = pointed
        const pen = svgPen(width, height, 'map', whole.pen)
        paintWhole(whole, pen, width, height)
        return new XMLSerializer().serializeToString(pen.root)
    }
    return [null, ...map.shown.map((_, item) => ({ item, column: 1 }))].map(drawn)
}"""


def cells():
    """Of every colour cells that are decided and not, of few examples, forecast and between; and cells of no colour."""
    found = []
    for i, drop in enumerate(DROPS):
        sure, unsure = Estimate(drop, drop - 1e-6, drop + 1e-6, 500), Estimate(drop, drop - 1, drop + 1, 500)
        known = {
            0.1: (sure, "full"), 0.2: (unsure, "full"), 0.3: (unsure, "early"), 0.5: (sure, "early"),
            0.7: (sure, "forecast"),
        }  # fmt: skip
        for sparsity, (drop_of, stage) in known.items():
            cut = Cut(f"layer{i}", "weight", sparsity, "magnitude")
            found.append(CellResult(cut, 1, 2, "measured", drop_of, drop_of, stage=stage))
        alone = Cut(f"few{i}", "weight", 0.5, "magnitude")  # with nothing beside it to lie between
        found.append(CellResult(alone, 1, 2, "measured", sure, sure, stage="early"))
        cut = Cut(f"layer{i}", "weight", 0.8, "magnitude")
        found.append(CellResult(cut, 1, 2, "waiting", estimate=float(i)))
        state = ("waiting", "failed", "no effect")[i % 3]
        found.append(CellResult(Cut(f"layer{i}", "weight", 0.9, "magnitude"), 1, 2, state, reason="why"))
    return tuple(found)


def rgb(colour):
    """`#rrggbb`, `rgb(…)` or `rgba(…)` as three numbers and how much of it covers."""
    if colour.startswith("#"):
        return [int(colour[i : i + 2], 16) for i in (1, 3, 5)], 1.0
    red, green, blue, *through = (float(part) for part in re.findall(r"[\d.]+", colour))
    return [red, green, blue], through[0] if through else 1.0


def faint(svg, page):
    """What in a drawing is too faint for what lies below it: words, marks, and shapes by their middle."""
    boxes, found = [], []

    def judge(what, x, y, node, kind, least):
        below = rgb(page)[0]
        for left, top, right, bottom, colour, share in boxes:
            if left <= x <= right and top <= y <= bottom:
                below = [share * a + (1 - share) * b for a, b in zip(colour, below, strict=True)]
        colour, share = rgb(node.get(kind))
        share *= float(node.get(f"{kind}-opacity", 1))
        shown = [share * a + (1 - share) * b for a, b in zip(colour, below, strict=True)]
        ratio = contrast(*("#" + "".join(f"{round(part):02x}" for part in one) for one in (shown, below)))
        if ratio < least - 0.005:
            found.append(f"{what}: {ratio:.2f}")

    def visit(node, dx, dy):
        dx, dy = (
            a + float(b) for a, b in zip((dx, dy), re.findall(r"[\d.]+", node.get("transform", "0 0")), strict=True)
        )
        tag = node.tag.rpartition("}")[2]
        if tag == "rect" and node.get("fill") != "none":
            x, y, wide, high = (float(node.get(name)) for name in ("x", "y", "width", "height"))
            x, y = x + dx, y + dy
            if wide <= 2 and high <= 2:
                judge("dot", x + 1, y + 1, node, "fill", LEAST_CONTRAST)
            else:
                share = rgb(node.get("fill"))[1] * float(node.get("fill-opacity", 1))
                boxes.append((x, y, x + wide, y + high, rgb(node.get("fill"))[0], share))
        elif tag == "text":
            y = float(node.get("y")) + dy - 0.35 * float(node.get("font-size"))
            judge(node.text, float(node.get("x")) + dx, y, node, "fill", LEAST_CONTRAST)
        elif tag == "path":
            places = [float(part) for part in re.findall(r"[\d.]+", node.get("d"))]
            x, y = (sum(part) / len(part) for part in (places[::2], places[1::2]))
            kind = "stroke" if node.get("fill") == "none" else "fill"
            judge(f"shape {node.get('d')}", x + dx, y + dy, node, kind, LEAST_OF_SHAPES)
        for inner in node:
            visit(inner, dx, dy)

    visit(ElementTree.fromstring(svg), 0.0, 0.0)
    return found


def test_a_word_on_its_own_colour_is_found():
    box = "<rect x='0' y='0' width='9' height='9' fill='#777777'/>"
    word = "<text x='4' y='8' font-size='9' fill='#888888'>a</text>"
    assert faint(f"<svg>{box}{word}</svg>", "#ffffff") == ["a: 1.26"]


@pytest.mark.parametrize("scheme", PALETTES)
def test_every_word_and_mark_on_the_canvas_can_be_read(chromium, scheme):
    assert THEMES[scheme].split(";")[1].endswith(STREAMLIT_THEME[f"theme.{scheme}.backgroundColor"])
    page = chromium.new_page(viewport={"width": 900, "height": 900})
    found = cells()
    grid = sparsity_grid(found)
    report = SensitivityReport("r", "m", accuracy().scale, None, found, n_calibration=9)
    planned = [one.cut for one in found]
    data = map_data(map_text(grid, report), grid, TOLERANCE, PALETTES[scheme], "Drop", planned=planned)
    open_map(page, data, scheme)
    source = JS + "\nexport { svgPen, wholeOf, paintWhole }"
    drawn = page.evaluate(PAINT, base64.b64encode(source.encode()).decode())
    page.close()
    told = {node.text for node in ElementTree.fromstring(drawn[0]).iter() if node.text}
    assert {MARKS[mark] for mark in ("few", "forecast", "estimate", "failed", "no effect")} <= told
    background = STREAMLIT_THEME[f"theme.{scheme}.backgroundColor"]
    assert not {(i, one) for i, svg in enumerate(drawn) for one in faint(svg, background)}
