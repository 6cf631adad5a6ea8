"""A real `secateur` and a real headless Chromium."""

import base64
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from dashboard.tuner.component import FORMULA, joined

FLAGS = [  # Chromium must neither ask for a sandbox as root nor look for hosts outside
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SECATEUR = Path(sys.executable).with_name("secateur")
expect.set_options(timeout=120_000)  # a busy machine is slow, not wrong; what is wrong stays wrong


@pytest.fixture(scope="session")
def chromium():
    """The browser; without one the test is skipped, but not in CI."""
    path = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if path is None:
        if os.environ.get("SECATEUR_REQUIRE_BROWSER"):
            pytest.fail("SECATEUR_REQUIRE_BROWSER is set, but there is no Chromium; apt-get install chromium")
        pytest.skip("no Chromium here; apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def served(*arguments):
    """Address of a dashboard, started as the README says."""
    command = [SECATEUR, "dashboard", *arguments, "--port", "0", "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout is not None
    try:
        first = server.stdout.readline()
        address = re.search(r"http://localhost:\d+", first)
        assert address, first
        yield address.group()
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()


@pytest.fixture
def dashboard(tmp_path):
    """Address of a dashboard on a fresh workspace with one workload file."""
    workload = tmp_path / "my_workload.py"
    subprocess.run([SECATEUR, "init", workload], check=True, capture_output=True)
    with served(workload, "--workspace", tmp_path / "workspace") as address:
        yield address


@pytest.fixture
def open_page(chromium):
    """Open a page. After the test, none may have met an error of its own or asked for anything outside this machine."""
    problems: list[str] = []
    contexts = []

    def open_(url: str, scheme: str = "light") -> Page:
        context = chromium.new_context(
            viewport={"width": 1500, "height": 1000}, color_scheme=scheme, accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
        page.on("request", lambda request: problems.append(request.url) if _is_outside(request.url) else None)
        page.set_default_timeout(120_000)
        for _ in range(50):  # the server answers a moment after its first line
            try:
                page.goto(url)
                break
            except Exception:
                page.wait_for_timeout(200)
        expect(page.get_by_text("Model", exact=True).first).to_be_visible()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not problems, problems


def _is_outside(url: str) -> bool:
    return url.startswith("http") and not url.startswith(("http://localhost:", "http://127.0.0.1:"))


@pytest.fixture(scope="module")
def js(chromium):
    """Call a pure function of the tuner: `js(name, *arguments)`."""
    page = chromium.new_page()
    source = base64.b64encode(joined(FORMULA).encode()).decode()
    page.evaluate(f"async () => {{ window.tuner = await import('data:text/javascript;base64,{source}') }}")
    yield lambda name, *arguments: page.evaluate("([name, given]) => tuner[name](...given)", [name, list(arguments)])
    page.close()
