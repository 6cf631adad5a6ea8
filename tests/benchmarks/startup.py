"""How long a person waits: `python -m tests.benchmarks.startup`.

Each figure beside a baseline of the same run, as a ratio, since absolute times drift with the machine.
Needs a Chromium for the first drawn page (`apt-get install chromium`).
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks.record import Cell, Column, Table, recordable, write_record

SECATEUR = str(Path(sys.executable).with_name("secateur"))
REPEATS = 5


def seconds(work: Callable[[], None], repeats: int = REPEATS) -> float:
    """Median wall time after one warm-up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def command(*words: str) -> Callable[[], None]:
    """Run a command and throw its output away."""
    return lambda: subprocess.run(words, check=True, capture_output=True) and None


def first_page(start: Callable[[int], list[str]], expected: str) -> float:
    """Median seconds from starting a server on port 8598 until `expected` is visible in a browser that waits for it.

    `start` gives the command of the i-th of three tries.
    """
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("google-chrome")
    times = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for i in range(3):
            page = browser.new_page()
            begin = time.perf_counter()
            server = subprocess.Popen(start(i), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while True:
                try:
                    page.goto("http://localhost:8598")
                    break
                except Exception:
                    time.sleep(0.05)
            page.get_by_text(expected).first.wait_for(timeout=60_000)
            times.append(time.perf_counter() - begin)
            page.close()
            server.terminate()
            server.wait()
        browser.close()
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-browser", action="store_true", help="leave out the first drawn page")
    recordable(parser)
    options = parser.parse_args()
    pages: list[tuple[str, float, str, float]] = [] if options.no_browser else drawn_pages()
    python = [sys.executable, "-c"]
    core, torch = seconds(command(*python, "import core")), seconds(command(*python, "import torch"))
    rows = [
        ("secateur --help", seconds(command(SECATEUR, "--help")), "python -c pass", seconds(command(*python, "pass"))),
        ("import core", core, "import torch", torch),
        *pages,
    ]
    print(f"{'what':30}{'seconds':>9}   {'baseline':26}{'seconds':>9}{'ratio':>8}")
    for what, ours, baseline, theirs in rows:
        print(f"{what:30}{ours:9.2f}   {baseline:26}{theirs:9.2f}{ours / theirs:8.2f}")
    columns = (
        Column("what"), Column("seconds", "", ".2f"), Column("baseline"), Column("seconds", "", ".2f"),
        Column("ratio", "", ".2f"),
    )  # fmt: skip
    table: list[list[Cell]] = [[*row, row[1] / row[3]] for row in rows]
    write_record(
        options,
        "What a person waits for at the start",
        "How long does it take until a command answers and until the first page is drawn?",
        [Table(columns, table)],
        f"Wall time, medians of {REPEATS} (of pages 3), beside a baseline of the same run; the page is drawn when a "
        "headless Chromium shows its words.",
    )


def drawn_pages() -> list[tuple[str, float, str, float]]:
    """Rows of the table: first pages of the dashboard beside a plain one."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.py"
        plain.write_text("import streamlit as st\nst.write('a plain page')\n")
        port = ["--server.port=8598", "--server.headless=true", "--browser.gatherUsageStats=false"]
        streamlit = [sys.executable, "-m", "streamlit", "run", str(plain), *port]
        serve = [SECATEUR, "--port", "8598", "--no-browser", "--workspace"]
        fresh = first_page(lambda i: [*serve, os.path.join(folder, f"fresh-{i}")], "What can be cut")
        again = first_page(lambda _: [*serve, os.path.join(folder, "fresh-0")], "What can be cut")
        empty = first_page(lambda _: streamlit, "a plain page")
    return [
        ("first page, new workspace", fresh, "a plain Streamlit page", empty),
        ("first page, known workspace", again, "a plain Streamlit page", empty),
    ]


if __name__ == "__main__":
    main()
