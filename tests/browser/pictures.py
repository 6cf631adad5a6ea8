"""The pictures of the manual: `python -m tests.browser.pictures`. Or, to look at: `… OUT`, every screen in every size.

Of the manual: sweeps fashion-vit, measures a plan, recovers and exports it in the workspace SECATEUR_WORKSPACE (a
temporary one by default; what is measured already is not measured again), then photographs the screens in a headless
Chromium. Into OUT: every screen with none, little and much in the workspace (made up, see `sizes`), light and dark, in
three widths, as long as it is: 90 pictures, `SCREEN-SIZE-SCHEME-WIDTH.png`; fewer: `… OUT --only map 300-rows dark`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import Browser, sync_playwright

from core import Cut, FineTuning, SparsityPlan, sweep
from core.jobs.runs import RunStore
from core.jobs.submissions import plan_submission
from core.jobs.worker import execute
from core.plans.schedules import Schedule
from core.recovery.request import RecoverRequest
from core.workspace import Workspace
from tests.browser.bare_map import cell_at
from tests.browser.legible import HEIGHT, settled, walk
from tests.browser.sizes import ROWS, SCHEMES, SCREENS, WIDTHS, made

ROOT = Path(__file__).parents[2]
MODEL = "fashion-vit"
LONGEST = 6000  # pixels of a picture at most; at least those of a window
MANUAL = {  # of the light screens, those that are shown, and where they lie
    "map": ROOT / ".github" / "map.png",
    "tune": ROOT / "docs" / "pictures" / "tune.png",
    "recover": ROOT / "docs" / "pictures" / "recover.png",
}

T = TypeVar("T", str, int)


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


@dataclass(frozen=True)
class Only:
    """The words after `--only`; of each kind of which none is named, all are meant."""

    words: frozenset[str]

    def of(self, all_of_kind: Iterable[T]) -> tuple[T, ...]:
        """Those of one kind that are named, or all."""
        every = tuple(all_of_kind)
        return tuple(one for one in every if _word(one) in self.words) or every


def photograph_all(browser: Browser, address: str, size: str, out: Path, only: Only) -> None:
    """Every screen of a workspace of one size, light and dark, in every width; of these, those that are asked for."""
    for scheme in only.of(SCHEMES):
        page = browser.new_page(color_scheme=scheme)  # anew: charts take the colours that a page is opened in
        for screen, width in walk(page, address, only.of(SCREENS), only.of(WIDTHS)):
            long = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
            if long > HEIGHT:
                page.set_viewport_size({"width": width, "height": min(long, LONGEST)})
                settled(page)
            name = f"{screen}-{_word(size)}-{scheme}-{width}.png"
            page.screenshot(path=out / name, animations="disabled")
            print(name, flush=True)
        page.close()


def _word(one: object) -> str:
    return str(one).replace(" ", "-")


@contextmanager
def _served(workspace: Path) -> Iterator[str]:
    """Address of a dashboard on a workspace."""
    secateur = Path(sys.executable).with_name("secateur")
    command = [secateur, "--port", "0", "--no-browser", "--json", "--workspace", workspace]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = json.loads(server.stdout.readline())["address"]
        _wait_for(f"{address}/_stcore/health")
        yield address
    finally:
        server.kill()
        server.wait()


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
    parser = argparse.ArgumentParser(
        prog="python -m tests.browser.pictures", description="Make pictures of the screens."
    )
    parser.add_argument("out", nargs="?", type=Path, help="where to put every screen in every size, to look at")
    words = [_word(one) for kind in (SCREENS, ROWS, SCHEMES, WIDTHS) for one in kind]
    parser.add_argument("--only", nargs="+", default=[], choices=words, metavar="WORD", help=", ".join(words))
    asked = parser.parse_args()
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        if asked.out is None:
            workspace = Path(os.environ.get("SECATEUR_WORKSPACE", temporary))
            prepare(workspace)
            with _served(workspace) as address:
                photograph(browser, address, MANUAL, "light")
        else:
            asked.out.mkdir(parents=True, exist_ok=True)
            only = Only(frozenset(asked.only))
            for size in only.of(ROWS):
                folder = Path(temporary) / _word(size)
                folder.mkdir()
                with _served(made(folder, size)) as address:
                    photograph_all(browser, address, size, asked.out, only)
        browser.close()


if __name__ == "__main__":
    main()
