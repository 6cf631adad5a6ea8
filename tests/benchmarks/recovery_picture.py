"""Draw what `recovery.py --keep` kept: `python -m tests.benchmarks.recovery_picture OUT.png ROUNDS.json …`.

Each file becomes a chart: the metric by sparsity of every way, after the cut and after training, with 95 % intervals.
"""

import argparse
import json
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from core import load_workload, numbers
from core.recovery.history import Round
from core.sensitivity.report import Estimate
from core.workload.scale import Scale
from dashboard.frame.theme import LIGHT
from tests.benchmarks.recovery import WAYS

WIDTH, HEIGHT = 480, 400  # of one chart


def draw(figure: Figure, scale: Scale, kept: dict[str, Any], column: int) -> None:
    """One chart of the picture."""
    dense = scale.factor * Estimate(**kept["dense"]).value
    for way, rows in kept["rounds"].items():
        history = [Round.from_json(row) for row in rows]
        colour = LIGHT.lines[WAYS.index(way)]
        cut = [(row.sparsity, row.before) for row in history if row.before]
        trained = [(row.sparsity, row.after) for row in history if row.after and row.steps]
        for points, dash, symbol in ((cut, "dot", "circle-open"), (trained, "solid", "circle")):
            if not points or (dash == "dot" and way not in ("iterative", "untrained")):
                continue
            name = way if way == "untrained" else f"{way}, {'after the cut' if dash == 'dot' else 'trained'}"
            y = [scale.factor * found.value for _, found in points]
            figure.add_trace(
                Scatter(
                    x=[100 * share for share, _ in points], y=y, mode="lines+markers", name=name, legendgroup=name,
                    line={"color": colour, "dash": dash}, marker={"symbol": symbol, "size": 7},
                    showlegend=not any(trace.name == name for trace in figure.data),
                    error_y={
                        "type": "data", "symmetric": False, "thickness": 1.2, "width": 3,
                        "array": [scale.factor * (found.high - found.value) for _, found in points],
                        "arrayminus": [scale.factor * (found.value - found.low) for _, found in points],
                    },
                ),
                row=1, col=column,
            )  # fmt: skip
    figure.add_hline(y=dense, line={"color": LIGHT.dense, "dash": "dash", "width": 1.5}, col=column, row=1)
    figure.update_xaxes(title=f"sparsity, %; dense {numbers.metric_text(scale, dense / scale.factor)}", col=column)
    unit = ", %" if scale.unit == "fraction" else ""
    kind = "log" if scale.aggregate == "exp_mean" and dense > 0 and math.isfinite(dense) else "linear"
    figure.update_yaxes(title=f"{scale.name}{unit}", type=kind, col=column)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("kept", type=Path, nargs="+")
    args = parser.parse_args()
    found = [json.loads(path.read_text()) for path in args.kept]
    titles = [f"{kept['model']}, n = {kept['dense']['n']:,}" for kept in found]
    figure = make_subplots(rows=1, cols=len(found), subplot_titles=titles)
    for column, kept in enumerate(found, 1):
        draw(figure, load_workload(kept["model"]).metric.scale, kept, column)
    width = WIDTH * len(found)
    figure.update_layout(
        width=width, height=HEIGHT, template="plotly_white", legend={"orientation": "h", "y": -0.2},
        margin={"l": 60, "r": 20, "t": 40, "b": 90},
    )  # fmt: skip
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "picture.html"
        figure.write_html(page_file, include_plotlyjs=True, config={"staticPlot": True})
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width + 20, "height": HEIGHT + 20})
        page.goto(page_file.as_uri())
        page.locator(".main-svg").first.wait_for()
        page.screenshot(path=args.out)
        browser.close()


if __name__ == "__main__":
    main()
