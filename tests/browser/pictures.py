"""Pictures of every screen, light and dark: `python tests/browser/pictures.py OUT [WORKSPACE]`.

Sweeps fashion-vit, measures and exports a plan in WORKSPACE (a temporary one by default; what is measured already is
not measured again), then photographs the screens in a headless Chromium. The pictures in `.github/` were made so.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from core import Cut, SparsityPlan, sweep
from core.jobs.runs import RunStore
from core.jobs.submissions import plan_submission
from core.jobs.worker import execute
from core.workspace import Workspace

MODEL = "fashion-vit"
SCREENS = {"model": "", "map": "map", "tune": "tune", "deliver": "deliver"}


def prepare(workspace: Path) -> None:
    """A finished sweep, a measured plan and a bundle."""
    sweep(MODEL, workspace=workspace)
    runs = RunStore(Workspace(workspace))
    targets = next(d for ref, d in runs.descriptions().items() if ref == MODEL).targets
    blocks = [target for target in targets if target.name.startswith("blocks.")]
    plan = SparsityPlan.uniform(blocks, 0.5, workload=MODEL).with_cut(Cut("blocks.3.attn:2", "head"))
    runs.save_draft(MODEL, plan)
    for kind in ("measure", "export"):
        if not any(run.state == "finished" for run in runs.list(kind, MODEL)):
            run, _ = runs.submit(kind, *plan_submission(MODEL, plan))
            assert execute(runs, run.id).state == "finished"


def photograph(browser: Browser, address: str, out: Path, scheme: str) -> None:
    """One picture per screen; on the map, a cell is chosen first."""
    page = browser.new_page(viewport={"width": 1500, "height": 1150}, color_scheme=scheme)
    for name, path in SCREENS.items():
        page.goto(f"{address}/{path}?model={MODEL}")
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        page.wait_for_timeout(2_000)
        if name == "map":
            box = page.locator(".nsewdrag").first.bounding_box()
            page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 5.5 / 26)
            page.wait_for_timeout(2_500)
            page.mouse.move(5, 5)
            page.wait_for_timeout(500)
        page.screenshot(path=out / f"{name}-{scheme}.png")
    page.close()


def main() -> None:
    """Make the pictures."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        workspace = Path(sys.argv[2] if len(sys.argv) > 2 else temporary)
        prepare(workspace)
        secateur = Path(sys.executable).with_name("secateur")
        command = [secateur, "--port", "0", "--no-browser", "--json", "--workspace", workspace]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            address = json.loads(server.stdout.readline())["address"]
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            for scheme in ("light", "dark"):
                photograph(browser, address, out, scheme)
            browser.close()
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()
