"""Plans in a real browser: sharpened, searched for, taken. Ticking and comparing: tests/dashboard/test_plans.py."""

import subprocess

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SECATEUR

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_search_tells_what_it_tries_and_what_it_found_is_taken(dashboard, open_page, tmp_path):
    sweep = [SECATEUR, "sweep", tmp_path / "my_workload.py", "--workspace", tmp_path / "workspace"]
    subprocess.run(sweep, check=True, capture_output=True)
    page = open_page(f"{dashboard}/tune?model=my_workload")
    page.get_by_role("button", name="Sharpen the prediction").click()
    expect(page.get_by_text("No whole plan was measured yet")).to_be_hidden(timeout=60_000)
    expect(page.get_by_role("button", name="Find it")).to_have_count(1)  # while the page is drawn anew there may be two
    tolerance = page.get_by_role("spinbutton", name="Tolerance, points")
    tolerance.fill("20")
    tolerance.press("Enter")
    page.get_by_role("button", name="Find it").click()
    expect(page.get_by_text("Cheapest within 20.00 points")).to_be_visible(timeout=120_000)
    expect(tolerance).to_have_value("20")
    page.get_by_role("button", name="Take this plan").click()
    expect(page.get_by_role("button", name="This is the plan above")).to_be_disabled()
    expect(page.get_by_text("this plan, measured")).to_be_visible()
