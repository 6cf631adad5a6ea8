"""The pictures of the manual: `python tests/browser/pictures.py`. Or of every screen, light and dark: `… OUT`.

Sweeps fashion-vit, measures a plan, recovers and exports it in the workspace SECATEUR_WORKSPACE (a temporary one by
default; what is measured already is not measured again), then photographs the screens in a headless Chromium.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from core import Cut, FineTuning, SparsityPlan, sweep
from core.jobs.runs import RunStore
from core.jobs.submissions import plan_submission
from core.jobs.worker import execute
from core.plans.schedules import Schedule
from core.recovery.request import RecoverRequest
from core.workspace import Workspace
from tests.browser.bare_map import cell_at

ROOT = Path(__file__).parents[2]
MODEL = "fashion-vit"
SCREENS = {"model": "", "map": "map", "tune": "tune", "recover": "recover", "deliver": "deliver"}
MANUAL = {  # of the light screens, those that are shown, and where they lie
    "map": ROOT / ".github" / "map.png",
    "tune": ROOT / "docs" / "pictures" / "tune.png",
    "recover": ROOT / "docs" / "pictures" / "recover.png",
}


def prepare(workspace: Path) -> None:
    """A finished sweep, a measured plan, a recovery of four rounds and a bundle."""
    sweep(MODEL, workspace=workspace, sparsities=(0.2, 0.4, 0.6, 0.8, 0.9), samples=1000, channels=True)
    runs = RunStore(Workspace(workspace))
    targets = next(d for ref, d in runs.descriptions().items() if ref == MODEL).targets
    blocks = [t for t in targets if t.name.startswith("blocks.") and t.granularity == "weight"]
    plan = SparsityPlan.uniform(blocks, 0.5, workload=MODEL).with_cut(Cut("blocks.3.attn:2", "head"))
    runs.save_draft(MODEL, plan)
    training = FineTuning(steps=60)
    recovery = RecoverRequest(MODEL, Schedule("cubic", 0.0, 0.8, 4), training, samples=1000, tolerance=0.03)
    for kind, submission in (
        ("measure", plan_submission(MODEL, plan)),
        ("recover", (MODEL, recovery.to_json())),
        ("export", plan_submission(MODEL, plan)),
    ):
        if not any(run.state == "finished" for run in runs.list(kind, MODEL)):
            run, _ = runs.submit(kind, *submission)
            done = execute(runs, run.id)
            assert done.state == "finished", done.error


def photograph(browser: Browser, address: str, places: dict[str, Path], scheme: str) -> None:
    """A picture of each of these screens; on the map, a cell is chosen first."""
    page = browser.new_page(viewport={"width": 1500, "height": 1150}, color_scheme=scheme)
    for name, place in places.items():
        page.goto(f"{address}/{SCREENS[name]}?model={MODEL}")
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        page.wait_for_timeout(4_000)
        if name == "map":
            page.mouse.click(*cell_at(page, row=5, column=7))
            page.wait_for_timeout(3_000)
        page.mouse.move(5, 5)
        page.wait_for_timeout(1_000)
        place.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=place)
    page.close()


def _wait_for(url: str) -> None:
    """The server answers a moment after it has said where."""
    for _ in range(300):
        with suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.2)
    raise AssertionError(f"nobody answers at {url}")


def main() -> None:
    """Make the pictures."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    wanted = (
        {scheme: {name: out / f"{name}-{scheme}.png" for name in SCREENS} for scheme in ("light", "dark")}
        if out
        else {"light": MANUAL}
    )
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        workspace = Path(os.environ.get("SECATEUR_WORKSPACE", temporary))
        prepare(workspace)
        secateur = Path(sys.executable).with_name("secateur")
        command = [secateur, "--port", "0", "--no-browser", "--json", "--workspace", workspace]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            address = json.loads(server.stdout.readline())["address"]
            _wait_for(f"{address}/_stcore/health")
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            for scheme, places in wanted.items():
                photograph(browser, address, places, scheme)
            browser.close()
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()
