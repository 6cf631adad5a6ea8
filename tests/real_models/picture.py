"""The map of a sweep as a picture: the map of the Map screen, drawn by a headless Chromium."""

import shutil
from pathlib import Path
from typing import Any

from core.jobs.runs import RunStore
from core.sensitivity.maps.layout import head_grid, sparsity_grid
from core.sensitivity.report import default_tolerance
from core.workspace import Workspace
from dashboard.frame.theme import LIGHT
from dashboard.maps.data import map_data, map_text
from tests.browser.bare_map import open_map

WIDTH, HEIGHT = 880, 1160  # the second of the window: a map takes what its rows need, 860 at most


def told(workspace: Path, run: str) -> list[dict[str, Any]]:
    """Layers × sparsities, and attentions × heads where there are any."""
    runs = RunStore(Workspace(workspace))
    report = runs.report(runs.get(run))
    assert report is not None
    assert report.dense is not None
    tolerance = default_tolerance(report.scale, report.dense.value)
    grids = {"layer × sparsity": sparsity_grid(report.cells), "attention × head removed": head_grid(report.cells)}
    return [
        map_data(map_text(grid, report, title), grid, tolerance, LIGHT, title, can_cut=False, can_tolerate=False)
        for title, grid in grids.items()
        if grid.rows
    ]


def draw(workspace: Path, swept: dict[str, Any], path: Path) -> None:
    """Write the PNG of the layers; of the heads, if there are any, another beside it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        path.parent.mkdir(parents=True, exist_ok=True)
        for i, data in enumerate(told(workspace, swept["run"]["id"])):
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            open_map(page, data)
            page.locator(".map").screenshot(path=path if i == 0 else path.with_stem(f"{path.stem}-heads"))
        browser.close()
