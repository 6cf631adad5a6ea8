"""The map of a sweep as a picture: the figures of the Map screen, drawn by a headless Chromium."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from plotly.graph_objects import Figure

from core.jobs.runs import RunStore
from core.sensitivity.report import default_tolerance
from core.workspace import Workspace
from dashboard.figures.grid import head_grid, sparsity_grid
from dashboard.figures.heatmap import heatmap
from dashboard.frame.theme import LIGHT

WIDTH = 880


def figures(workspace: Path, run: str) -> list[Figure]:
    """Layers × sparsities, and attentions × heads where there are any."""
    runs = RunStore(Workspace(workspace))
    report = runs.report(runs.get(run))
    assert report is not None
    assert report.dense is not None
    tolerance = default_tolerance(report.scale, report.dense.value)
    grids = {"layer × sparsity": sparsity_grid(report.cells), "attention × head removed": head_grid(report.cells)}
    return [heatmap(grid, report, tolerance, LIGHT, title=title) for title, grid in grids.items() if grid.rows]


def draw(workspace: Path, swept: dict[str, Any], path: Path) -> None:
    """Write the PNG."""
    from playwright.sync_api import sync_playwright

    parts = figures(workspace, swept["run"]["id"])
    for figure in parts:
        figure.update_layout(width=WIDTH, template="plotly_white", paper_bgcolor="white", plot_bgcolor="white")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "map.html"
        drawn = "".join(
            figure.to_html(full_html=False, include_plotlyjs=i == 0, config={"staticPlot": True})
            for i, figure in enumerate(parts)
        )
        page_file.write_text(f"<meta charset=utf-8><body style='margin:0'><div id=all>{drawn}</div>", encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 600})
        page.goto(page_file.as_uri())
        page.locator(".main-svg").first.wait_for()
        path.parent.mkdir(parents=True, exist_ok=True)
        page.locator("#all").screenshot(path=path)
        browser.close()
