"""Clicks from the first page to a smaller bundle, counted: `python -m tests.browser.clicks [SAMPLE …] [--folder]`.

Walks each sample in a headless Chromium, in a fresh workspace, by the buttons that a newcomer is offered and with what
the screens begin with; with `--folder`, or without any sample, also a folder of one's own with data to its map. Prints
the clicks, how long each was waited for, and what the bundle's manifest says was measured; `secateur verify` then reads
the bundle again. Minutes a sample; other work on the machine makes the times of its models worthless.
"""

import argparse
import json
import re
import shutil
import subprocess
import tempfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from core import numbers
from core.profiling import profile_words
from core.profiling.report import SpeedRatio
from core.sensitivity.report import Estimate
from tests.browser.conftest import FLAGS, SECATEUR, served

PATIENCE = 3_600_000  # milliseconds for what a worker does meanwhile: it gives way to everything else on the machine
SAMPLES = ("fashion-resnet", "fashion-vit", "tiny-gpt")
FIRST = SAMPLES[0]  # that the first page shows
WISHES = {"smaller": "A smaller file", "faster": "A faster model"}
ROWS = 300  # of the table beside the folder


@dataclass
class Walk:
    """What was pressed on a page, and how long it was waited for.

    Attributes:
        page: that is walked on.
        patience: milliseconds to wait for one button.
        steps: label of each click, with the seconds before it could be pressed.
    """

    page: Page
    patience: float = PATIENCE
    steps: list[tuple[str, float]] = field(default_factory=list)
    _since: float = field(default_factory=time.monotonic)

    @property
    def clicks(self) -> int:
        """How many so far."""
        return len(self.steps)

    def click(self, place: Locator) -> None:
        """Press it once it is there, may be pressed, and the page is drawn."""
        expect(place).to_be_enabled(timeout=self.patience)
        self.page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for(timeout=self.patience)
        waited, label = time.monotonic() - self._since, _label(place)
        place.click()
        self._since = time.monotonic()
        self.steps.append((label, waited))

    def choose(self, sample: str) -> None:
        """From the first page to another model: two clicks."""
        self.click(self.page.get_by_role("combobox", name="Model"))
        self.click(self.page.get_by_role("option", name=sample))
        expect(self.page.get_by_text(f"{sample} is judged by")).to_be_visible(timeout=self.patience)

    def ask(self, wish: str) -> None:
        """On a model's page, by its label what is wanted."""
        self.click(self.page.get_by_role("button", name=wish))

    def to_bundle(self) -> Path:
        """From there to the smaller bundle that was saved; where it lies."""
        page = self.page
        self.click(page.get_by_role("button", name="Measure", exact=True))
        self.click(page.get_by_role("button", name=re.compile("Next: find the fewest")))
        write = page.get_by_role("button", name=re.compile("^Next: write"))
        wider = page.get_by_role("button", name=re.compile("Look again within"))
        expect(write.or_(wider).first).to_be_enabled(timeout=self.patience)
        if not write.is_visible():
            self.click(wider)
        self.click(write)
        link = page.get_by_role("link", name="Download it")
        expect(link).to_be_visible(timeout=self.patience)
        with page.expect_download() as waiting:
            self.click(link)
        return Path(waiting.value.path())

    def to_map(self, folder: str, data: str) -> None:
        """From the first page to the map of a folder that lies nearby."""
        page = self.page
        self.click(page.get_by_role("button", name="Yours"))
        self.click(page.get_by_role("button", name=folder))
        self.click(page.get_by_role("button", name=data))
        expect(page.get_by_text("Inferred from its files")).to_be_visible(timeout=self.patience)
        self.click(page.get_by_role("button", name="To know what matters"))
        self.click(page.get_by_role("button", name="Measure", exact=True))
        expect(page.get_by_text("dense accuracy")).to_be_visible(timeout=self.patience)
        self.steps.append(("the map is there", time.monotonic() - self._since))


def _label(place: Locator) -> str:
    """What stands on a button, without the names of its icons; of a list its name."""
    lines = [line.strip() for line in place.inner_text().splitlines() if line.strip()]
    words = [line for line in lines if not re.fullmatch(r"[a-z]+(_[a-z]+)*", line)]
    return " ".join(words or lines) or place.get_attribute("aria-label") or ""


def told(manifest: dict[str, Any], scale: Any) -> list[str]:
    """What a bundle's manifest says was measured, a thought a line."""
    dense, shrunk = ({v["name"]: v for v in manifest["variants"]}[name] for name in ("dense", "shrunk"))
    lines = [
        f"parameters {shrunk['parameters']:,} of {dense['parameters']:,} "
        f"({numbers.share_text(shrunk['parameters'] / dense['parameters'])}), "
        f"bytes {shrunk['bytes']:,} of {dense['bytes']:,} ({numbers.share_text(shrunk['bytes'] / dense['bytes'])}), "
        f"operations {numbers.share_text(shrunk['flops'] / dense['flops'])}",
        f"drop {numbers.drop_with_interval(scale, Estimate(**shrunk['drop']))}",
    ]
    for ratio in (SpeedRatio(**one) for one in manifest["times"]["ratios"]):
        lines.append(
            f"{ratio.engine}, batch of {ratio.batch}: {numbers.ratio_text(ratio.value)} as fast "
            f"{profile_words.ratio_interval(ratio)}, n = {ratio.n}: {ratio.verdict}"
        )
    return lines


def walk_sample(browser: Browser, sample: str, wish: str, out: Path) -> None:
    """Walk one sample and print what came of it."""
    with served("--workspace", out / "workspace") as address:
        walk = Walk(_opened(browser, address))
        if sample != FIRST:
            walk.choose(sample)
        walk.ask(WISHES[wish])
        archive = walk.to_bundle()
        with zipfile.ZipFile(archive) as bundle:
            bundle.extractall(out / "unpacked")
    (folder,) = (out / "unpacked").iterdir()
    verify = [SECATEUR, "verify", folder, "--model", sample, "--json"]
    done = subprocess.run(verify, capture_output=True, text=True, check=True)
    _print(f"{sample}, {WISHES[wish].lower()}", walk.clicks, walk)
    for line in told(json.loads((folder / "manifest.json").read_text()), scale_of(out / "workspace", sample)):
        print(f"  {line}")
    print(f"  secateur verify: {'verified' if json.loads(done.stdout)['verified'] else 'NOT verified'}", flush=True)


def scale_of(workspace: Path, sample: str) -> Any:
    """Of the model's metric, as the workspace knows it."""
    from core.jobs.runs import RunStore
    from core.workspace import Workspace

    known = RunStore(Workspace(workspace)).description(sample)
    assert known is not None
    return known[0].scale


def walk_folder(browser: Browser, out: Path) -> None:
    """Walk a folder that transformers saved, with a table beside it, and print the clicks to its map."""
    from tests.core.workload.sources.folders import WORDS, save_bert

    save_bert(out / "my-bert")
    rows = [f"{WORDS[i % 25]} {WORDS[(3 * i) % 25]} {WORDS[(7 * i) % 25]},{i % 2}" for i in range(ROWS)]
    (out / "reviews.csv").write_text("\n".join(["text,label", *rows]))
    with served("--workspace", out / "workspace") as address:  # which looks for models around its workspace
        walk = Walk(_opened(browser, address))
        walk.to_map("my-bert", "reviews.csv")
    _print("a folder of one's own to its map", walk.clicks - 1, walk)


def _opened(browser: Browser, address: str) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True).new_page()
    page.set_default_timeout(300_000)
    for _ in range(50):  # the server answers a moment after its first line
        try:
            page.goto(address)
            break
        except Exception:
            page.wait_for_timeout(200)
    expect(page.get_by_text("What do you want?")).to_be_visible(timeout=300_000)
    return page


def _print(what: str, clicks: int, walk: Walk) -> None:
    print(f"{what}: {clicks} clicks")
    for label, seconds in walk.steps:
        print(f"  {seconds:7.1f} s  {label}")


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.clicks", description=__doc__.split("\n\n")[0])
    parser.add_argument("samples", nargs="*", choices=[*SAMPLES, []], metavar="SAMPLE", help=", ".join(SAMPLES))
    parser.add_argument("--wish", choices=list(WISHES), default="smaller", help="what is asked for on the first page")
    parser.add_argument("--folder", action="store_true", help="also a folder of one's own, to its map")
    asked = parser.parse_args()
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        if asked.folder or not asked.samples:
            (out := Path(temporary) / "folder").mkdir()
            walk_folder(browser, out)
        for sample in asked.samples or ([] if asked.folder else SAMPLES):
            (out := Path(temporary) / sample).mkdir()
            walk_sample(browser, sample, asked.wish, out)
        browser.close()


if __name__ == "__main__":
    main()
