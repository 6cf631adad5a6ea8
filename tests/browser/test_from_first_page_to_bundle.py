"""What a newcomer does, by mouse and keyboard, in a real browser."""

import json
import subprocess
import zipfile

import pytest
from playwright.sync_api import expect

from tests.browser.bare_map import cell_at
from tests.browser.conftest import SECATEUR
from tests.browser.lists import choose

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def idle(page):
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()


def test_from_the_first_page_to_a_bundle_that_verifies(dashboard, open_page, tmp_path):
    page = open_page(dashboard)
    expect(page.get_by_text("272,186")).to_be_visible()  # fashion-resnet, read by the worker meanwhile

    # help opens beside the work, and leads on to other pages
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Help for this screen").click()
    opened.value.get_by_role("navigation").get_by_role("link", name="Tuning").click()
    expect(opened.value).to_have_url(f"{dashboard}/manual/tuning")
    expect(opened.value.get_by_role("heading", level=1)).to_be_visible()

    # another model, and its map
    choose(page.get_by_role("combobox", name="Model"), page.get_by_role("option", name="my_workload"))
    expect(page.get_by_text("5,764")).to_be_visible()
    page.get_by_test_id("stTopNavLink").filter(has_text="Map").click()
    page.get_by_role("button", name="Measure").click()
    # a sweep as small as this one may be over before the strip looks for news
    expect(page.get_by_text("sweeping").or_(page.get_by_text("dense accuracy")).first).to_be_visible()
    page.reload()  # a reload and a second browser see the same run
    second = open_page(page.url, scheme="dark")
    for window in (page, second):
        expect(window.get_by_text("dense accuracy")).to_be_visible()
    expect(page.get_by_text("Nothing is running.")).to_be_visible(timeout=90_000)
    expect(second.get_by_text("Nothing is running.")).to_be_visible(timeout=90_000)

    # a click on the map chooses a cell: third layer, 90 %
    page.mouse.click(*cell_at(page, row=2, column=8))
    expect(page.get_by_text("90 % removed: 230 of 256 weights").first).to_be_visible()
    page.get_by_role("button", name="Cut here").click()
    expect(page.get_by_text("is in the plan now.")).to_be_visible()

    # the plan: change the first layer's ratio by keyboard, then measure
    page.get_by_test_id("stTopNavLink").filter(has_text="Tune").click()
    field = page.get_by_label("0, percent to remove, typed", exact=True)
    expect(field).to_have_value("0")
    expect(page.get_by_label("4, percent to remove, typed", exact=True)).to_have_value("90")
    field.fill("150")
    field.press("Enter")
    expect(page.get_by_text("0: 150 % cannot be removed")).to_be_visible()
    expect(field).to_have_value("0")
    field.fill("50")
    field.press("Enter")
    expect(page.get_by_text("4,762 of", exact=False)).to_be_visible()  # without ≈: the server has counted
    expect(page.locator(".tuner")).to_have_attribute("aria-busy", "false")
    idle(page)
    page.get_by_role("button", name="Measure this plan").click()
    expect(page.get_by_text("this plan, measured")).to_be_visible(timeout=60_000)

    # deliver
    page.get_by_test_id("stTopNavLink").filter(has_text="Deliver").click()
    page.get_by_role("button", name="Export", exact=True).click()
    link = page.get_by_role("link", name="Download")
    expect(link).to_be_visible(timeout=60_000)
    with page.expect_download() as waiting:
        link.click()
    archive = tmp_path / "bundle.zip"
    waiting.value.save_as(archive)
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(tmp_path / "unpacked")
    (folder,) = (tmp_path / "unpacked").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.html",
        "card.md",
        "manifest.json",
        "model.safetensors",
        "plan.json",
    ]
    cuts = json.loads((folder / "plan.json").read_text())["cuts"]
    assert {cut["target"]: cut["sparsity"] for cut in cuts} == {"0": 0.5, "4": 0.9}
    verify = [SECATEUR, "verify", folder, "--model", tmp_path / "my_workload.py", "--json"]
    done = subprocess.run(verify, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["verified"] is True
