"""How quickly the map is drawn, scrolled and recoloured, in a real Chromium: `python -m tests.benchmarks.map_drawing`.

Made-up maps of as many rows with 20 sparsities, on a bare page, so that neither a sweep nor Streamlit is timed. Prints
for each, in milliseconds:

* python: to make what the browser is given;
* first draw: from the data to the frame in which the map is painted;
* tolerance: from another tolerance to that frame, given by the server; and by hand on the colour bar;
* frames: how many a second while the map scrolls under a moving pointer, and while all rows are fitted on the screen;
  an empty page beside them says how many the machine had room for.

`--former COMMIT` draws the same cells as that commit did, with Plotly, checked out into a temporary folder.
"""

import argparse
import json
import math
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.plans.plan import Cut
from core.sensitivity.maps.layout import sparsity_grid
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.scale import Scale
from dashboard.frame.theme import LIGHT
from dashboard.maps.data import map_data, map_text
from tests.benchmarks.record import ROOT, Column, Table, recordable, write_record
from tests.browser.bare_map import TAKE, blank

ROWS, N_SPARSITIES, DRAWS = (50, 300), 20, 9
EMPTY = "an empty page"
SCALE = Scale("accuracy", "fraction", True, 0.0, 1.0)
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
# what a former build is asked: its own figure of the same cells, at two tolerances
FORMER = """
import json, sys, time
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.scale import Scale
from dashboard.figures.grid import sparsity_grid
from dashboard.figures.heatmap import heatmap
from dashboard.frame.theme import LIGHT
told = json.load(open(sys.argv[1]))
cells = tuple(CellResult.from_json(cell) for cell in told["cells"])
report = SensitivityReport("r", "m", Scale(**told["metric"]), Estimate(**told["dense"]), cells, n_examples=2000)
begin = time.perf_counter()
figures = [heatmap(sparsity_grid(report.cells), report, tolerance, LIGHT).to_json() for tolerance in (0.01, 0.03)]
json.dump({"ms": 500 * (time.perf_counter() - begin), "figures": figures}, open(sys.argv[2], "w"))
"""
PAINTED = "await new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
REACT = """async figure => {
    const f = JSON.parse(figure), div = document.querySelector('.plot')
    const at = performance.now()
    await Plotly.react(div, f.data, f.layout, { displaylogo: false })
    PAINTED
    return performance.now() - at }"""
HAND = """async tolerance => {
    const map = window.host.querySelector('.map').secateur, tick = map.parts.tick
    const at = performance.now()
    tick.dispatchEvent(new KeyboardEvent('keydown', { key: tolerance > map.tolerance ? 'PageUp' : 'PageDown' }))
    PAINTED
    return performance.now() - at }"""
FRAMES = """async () => {
    const view = (window.host || document).querySelector(VIEW), began = performance.now()
    const box = view.getBoundingClientRect()
    let frames = 0, down = 0
    while (performance.now() - began < 2000) {
        down += 23
        view.scrollTop = down % Math.max(1, view.scrollHeight - view.clientHeight)
        const at = { bubbles: true, clientX: box.left + 200 + (down % 400), clientY: box.top + 60 + (down % 300) }
        const under = (window.host || document).elementFromPoint(at.clientX, at.clientY) || view
        for (const kind of ['pointermove', 'mousemove']) under.dispatchEvent(new MouseEvent(kind, at))
        PAINTED
        frames += 1
    }
    return 1000 * frames / (performance.now() - began) }"""


def synthetic(n: int, seed: int = 0) -> SensitivityReport:
    """A map of `n` rows with every kind of cell in it."""
    rng, cells = random.Random(seed), []
    for i in range(n):
        name = f"stage{4 * i // n}.{i // 3}.conv{1 + i % 3}"
        worst, power = 0.02 + 0.5 * rng.random() ** 3, 2 + 5 * rng.random()
        for k in range(N_SPARSITIES):
            sparsity = round((k + 1) / (N_SPARSITIES + 1), 3)
            drop = worst * sparsity**power + rng.gauss(0, 0.002)
            half = 0.003 + 0.02 * math.sqrt(abs(drop))
            estimate = Estimate(drop, drop - half, drop + half, 2000)
            cut, failed = Cut(name, "weight", sparsity, "magnitude"), i % 17 == 5
            state = "failed" if failed else "measured"
            known = None if failed else estimate
            cells.append(CellResult(cut, 50, 100, state, known, known, "too small to be cut so" if failed else None))
    return SensitivityReport("r", "m", SCALE, Estimate(0.9, 0.89, 0.91, 2000), tuple(cells), n_examples=2000)


def timed(draw: Callable[[int], float]) -> float:
    """Median of some draws, the first of which is thrown away."""
    return statistics.median([draw(i) for i in range(DRAWS)][1:])


def of_now(browser: Any, report: SensitivityReport) -> list[float]:
    """Python, first draw, tolerance, tolerance by hand, frames a second scrolling and fitted, of this build."""
    begin = time.perf_counter()
    grid = sparsity_grid(report.cells)
    text = map_text(grid, report)
    data = [map_data(text, grid, tolerance, LIGHT, "Drop") for tolerance in (0.01, 0.03)]
    python = 500 * (time.perf_counter() - begin)
    take = TAKE.replace("async data => {", "async data => { const at = performance.now()").rstrip("}")
    take += "; return performance.now() - at }"
    page = browser.new_page(viewport={"width": 900, "height": 1000})
    first = []
    for _ in range(3):
        blank(page)
        first.append(page.evaluate(take, data[0]))
    again = timed(lambda i: page.evaluate(take, data[i % 2]))
    hand = timed(lambda i: page.evaluate(HAND.replace("PAINTED", PAINTED), (1, 0)[i % 2]))
    moved = FRAMES.replace("PAINTED", PAINTED).replace("VIEW", "'.view'")
    scrolling = page.evaluate(moved)
    page.get_by_role("button", name="fit", exact=True).click()
    fitted = page.evaluate(moved)
    page.close()
    return [python, statistics.median(first), again, hand, scrolling, fitted]


def of_nothing(browser: Any) -> list[float | None]:
    """Frames a second of a page with nothing on it."""
    page = browser.new_page(viewport={"width": 900, "height": 1000})
    page.set_content("<div class='empty'></div>")
    frames = page.evaluate(FRAMES.replace("PAINTED", PAINTED).replace("VIEW", "'.empty'"))
    page.close()
    return [None, None, None, None, frames, None]


def of_former(browser: Any, report: SensitivityReport, checkout: Path) -> list[float | None]:
    """The same of a former build, whose tolerance nobody could move by hand."""
    from plotly.offline import get_plotlyjs

    with tempfile.TemporaryDirectory() as folder:
        asked, told = Path(folder) / "asked.json", Path(folder) / "told.json"
        asked.write_text(json.dumps(report.to_json()))
        subprocess.run([sys.executable, "-c", FORMER, asked, told], cwd=checkout, check=True)
        answer = json.loads(told.read_text())
    page = browser.new_page(viewport={"width": 900, "height": 1000})
    page.set_content("<div class='scroll' style='height:860px;overflow:auto'><div class='plot'></div></div>")
    page.add_script_tag(content=get_plotlyjs())
    react = REACT.replace("PAINTED", PAINTED)
    first = []
    for _ in range(3):
        page.evaluate("() => window.Plotly.purge(document.querySelector('.plot'))")
        first.append(page.evaluate(react, answer["figures"][0]))
    again = timed(lambda i: page.evaluate(react, answer["figures"][i % 2]))
    frames = page.evaluate(FRAMES.replace("PAINTED", PAINTED).replace("VIEW", "'.scroll'"))
    page.close()
    return [answer["ms"], statistics.median(first), again, None, frames, None]


def measure(former: str | None, rows: tuple[int, ...]) -> list[list[Any]]:
    """A line for each build and number of rows."""
    from playwright.sync_api import sync_playwright

    found: list[list[Any]] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        checkout = Path(folder) / "former"
        if former:
            subprocess.run(["git", "worktree", "add", "--detach", "-q", checkout, former], cwd=ROOT, check=True)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        try:
            for n in rows:  # in turn, so that a machine that grows busy slows both
                report = synthetic(n)
                found.append([n, "this build", *of_now(browser, report)])
                found.append([n, EMPTY, *of_nothing(browser)])
                if former:
                    found.append([n, former, *of_former(browser, report, checkout)])
        finally:
            browser.close()
            if former:
                subprocess.run(["git", "worktree", "remove", "--force", checkout], cwd=ROOT, check=True)
    return found


def ratios(rows: list[list[Any]]) -> list[str]:
    """The largest map held against the smallest, and this build against the former one."""
    names, lines = ("python", "first draw", "tolerance", "by hand", "frames a second", "fitted"), []
    by = {(row[0], row[1]): row[2:] for row in rows}
    counts, builds = sorted({row[0] for row in rows}), list(dict.fromkeys(row[1] for row in rows if row[1] != EMPTY))
    pairs = [((counts[-1], build), (counts[0], build)) for build in builds if len(counts) > 1]
    pairs += [((n, builds[0]), (n, builds[1])) for n in counts if len(builds) > 1]
    for one, other in pairs:
        both = zip(names, by[one], by[other], strict=True)
        told = [f"{name} {float(a) / float(b):.2f} ×" for name, a, b in both if a is not None and b is not None]
        lines.append(f"{one[0]} rows, {one[1]} against {other[0]} rows, {other[1]}: {', '.join(told)}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, help="numbers of rows; 50 and 300 unless given")
    parser.add_argument("--former", metavar="COMMIT", help="a build that drew the map with Plotly, to time in turn")
    recordable(parser)
    options = parser.parse_args()
    rows = measure(options.former, tuple(options.rows) or ROWS)
    for row in rows:
        print(" ".join(f"{cell:>12.1f}" if isinstance(cell, float) else f"{cell!s:>12}" for cell in row))
    print(*ratios(rows), sep="\n")
    columns = [
        Column("rows"), Column("build"), Column("Python", "ms", ".0f"), Column("first draw", "ms", ".0f"),
        Column("tolerance", "ms", ".0f"), Column("tolerance, by hand", "ms", ".0f"),
        Column("frames a second", "", ".0f"), Column("all rows fitted", "", ".0f"),
    ]  # fmt: skip
    write_record(
        options,
        "The map in the browser",
        "How long is it until a map of 20 sparsities is drawn, until another tolerance shows, and does it scroll?",
        [Table(columns, rows)],
        "Medians in headless Chromium on a bare page: neither Streamlit nor the way to the server is in them.",
        [f"{line}." for line in ratios(rows)],
    )


if __name__ == "__main__":
    main()
