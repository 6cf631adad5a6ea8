"""Browsers and sweeps on one workspace at once: `python -m tests.benchmarks.crowd [--browsers 8] [--sweeps 4]`.

A dashboard on a workspace with evidence of `--rows` rows and 500 runs; that many sessions in a Chromium go from screen
to screen for 100 s, each at its own pace, while that many `secateur sweep` commands measure in the same workspace. It
ends when the sweeps have ended, and fails if one of them did, or if any screen showed an error. Needs Chromium and
Playwright.
"""

import argparse
import asyncio
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from playwright.async_api import Browser, Error, Page, TimeoutError, async_playwright

from tests.benchmarks.load import filled
from tests.benchmarks.record import Cell, Column, Table, recordable, write_record
from tests.browser.conftest import FLAGS, SECATEUR, served

SCREENS = ("Map", "Tune", "Recover", "Deliver", "Model")
READING_SECONDS = 1.0  # that a person looks at a screen, at least
LOOKING_SECONDS = 100.0  # after which nobody begins another round
LOST_SECONDS, MOST_CLICKS = 15, 5  # after which a person clicks again
AT_MOST_SECONDS = 120  # for a screen; what takes longer counts as an error
# the address changes when the script of the new screen has begun, and the old screen's elements go when it has ended;
# whether a script runs at all says little: parts of a screen look again every second while a sweep is at work
OLD = "[data-testid=stMain] [data-stale=true]"
ERRORS = "[data-testid=stException], [data-testid=stAlertContentError]"


async def session(
    browser: Browser,
    address: str,
    sweeps: list[subprocess.Popen[str]],
    took: dict[str, list[float]],
    lost: list[str],
    bad: list[str],
) -> None:
    """One person, from screen to screen until all sweeps have ended, and once round at least."""
    page = await browser.new_page()
    page.on("pageerror", lambda error: bad.append(str(error)))
    page.set_default_timeout(AT_MOST_SECONDS * 1000)
    opened = begun = time.perf_counter()
    await page.goto(address)
    await _seen(page, "first page", begun, took, bad)
    rounds = 0
    while rounds == 0 or (time.perf_counter() - opened < LOOKING_SECONDS and any(one.poll() is None for one in sweeps)):
        for screen in SCREENS:
            await asyncio.sleep(READING_SECONDS)
            begun = time.perf_counter()
            await _asked(page, screen, lost)
            await _seen(page, screen, begun, took, bad)
        rounds += 1
    await page.close()


async def tried(*given: Any) -> None:
    """As `session`; what takes too long is an error of that session, and the others go on."""
    try:
        await session(*given)
    except Error as error:
        given[-1].append(str(error).splitlines()[0])


async def _asked(page: Page, screen: str, lost: list[str]) -> None:
    """Click on a screen's name, again where nothing came of it, as a person would."""
    path = "/" if screen == "Model" else f"/{screen.lower()}"
    for _ in range(MOST_CLICKS):
        before = urlparse(page.url).path
        await page.get_by_role("link", name=screen, exact=True).first.click()
        try:
            await page.wait_for_url(
                lambda url: urlparse(url).path == path, timeout=LOST_SECONDS * 1000, wait_until="commit"
            )
        except TimeoutError:
            lost.append(f"{before} → {screen}")
        else:
            return
    raise Error(f"{MOST_CLICKS} clicks on {screen} led nowhere")


async def _seen(page: Page, what: str, begun: float, took: dict[str, list[float]], bad: list[str]) -> None:
    """Wait until the script has drawn all of the screen."""
    await page.locator("[data-testid=stMain] [data-testid=stElementContainer]").first.wait_for(state="attached")
    await page.locator(OLD).first.wait_for(state="detached")
    took[what].append(time.perf_counter() - begun)
    bad += [f"{what}: {text}" for text in await page.locator(ERRORS).all_inner_texts()]


async def crowd(
    address: str, n: int, sweeps: list[subprocess.Popen[str]]
) -> tuple[dict[str, list[float]], list[str], list[str]]:
    """Seconds of every visit, by screen; clicks of which nothing came; and errors that were shown."""
    took: dict[str, list[float]] = defaultdict(list)
    lost: list[str] = []
    bad: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        await asyncio.gather(*(tried(browser, address, sweeps, took, lost, bad) for _ in range(n)))
        await browser.close()
    return took, lost, bad


def main() -> None:
    """Print and, if asked, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    recordable(parser)
    parser.add_argument("--browsers", type=int, default=8)
    parser.add_argument("--sweeps", type=int, default=4)
    parser.add_argument("--rows", type=int, default=100_000, help="of evidence, that are there before")
    parser.add_argument(
        "--samples", type=int, default=1_000, help="examples of fashion-resnet that each sweep measures"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        filled(Path(folder), options.rows)
        with served("fashion-resnet", "--workspace", folder) as address:
            sweeps = [
                subprocess.Popen(
                    [SECATEUR, "sweep", "fashion-resnet", "--samples", str(options.samples), "--sparsities",
                     f"0.{i + 1},0.9", "--threads", "1", "--workspace", folder],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                )
                for i in range(options.sweeps)
            ]  # fmt: skip
            begun = time.perf_counter()
            took, lost, bad = asyncio.run(crowd(address, options.browsers, sweeps))
            said = [one.communicate()[0] for one in sweeps]
            seconds = time.perf_counter() - begun
    failed = [text for one, text in zip(sweeps, said, strict=True) if one.returncode != 0]
    rows: list[list[Cell]] = []
    for what in (one for one in ("first page", *SCREENS) if took[one]):
        found = sorted(took[what])
        late = found[max(0, round(0.9 * len(found)) - 1)]
        rows.append([what, len(found), statistics.median(found), late, found[-1]])
        print(
            f"{what:12}{len(found):6} visits, median {rows[-1][2]:6.2f} s, nine of ten within {late:6.2f} s, the "
            f"longest {found[-1]:6.2f} s"
        )
    print(
        f"{options.browsers} browsers, {options.sweeps} sweeps, {seconds:.0f} s: {len(bad)} errors on screens, "
        f"{len(lost)} clicks of which nothing came in {LOST_SECONDS} s, {len(failed)} sweeps failed"
    )
    for text in (*dict.fromkeys(bad), *lost, *failed):
        print(text)
    columns = (
        Column("screen"), Column("visits"), Column("median", "s", ".2f"), Column("nine of ten within", "s", ".2f"),
        Column("longest", "s", ".2f"),
    )  # fmt: skip
    write_record(
        options,
        "Many at once",
        "How long does a screen take while others look and sweeps are at work?",
        [Table(columns, rows)],
        f"{options.browsers} sessions of one Chromium and {options.sweeps} sweeps of fashion-resnet on one workspace "
        f"with {options.rows:,} rows of evidence and 500 runs, browsers and sweeps on the same machine; from the click "
        f"until the screen is drawn whole. {len(bad)} errors on screens, {len(lost)} clicks of which nothing came in "
        f"{LOST_SECONDS} s, {len(failed)} sweeps failed.",
    )
    if bad or failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
