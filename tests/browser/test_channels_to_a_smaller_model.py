"""From a click on the channels of a layer to a smaller model, in a real browser."""

import json
import subprocess
import zipfile

import pytest
from playwright.sync_api import expect

from tests.browser.bare_map import cell_at
from tests.browser.conftest import SECATEUR
from tests.browser.test_from_first_page_to_bundle import idle

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_from_a_click_on_channels_to_a_shrunk_bundle_that_verifies(dashboard, open_page, tmp_path):
    page = open_page(f"{dashboard}/?model=my_workload")
    expect(page.get_by_text("5,764")).to_be_visible()
    expect(page.get_by_text("Channels and neurons that go together")).to_be_visible()

    page.get_by_role("link", name="Map").click()
    page.get_by_text("channels & neurons", exact=True).click()
    expect(page.get_by_text("Channels that stay, a multiple of")).to_be_visible()
    idle(page)
    page.get_by_role("button", name="Measure").click()
    expect(page.get_by_text("sweeping")).to_be_visible()
    expect(page.get_by_text("Nothing is running.")).to_be_visible(timeout=120_000)
    expect(page.get_by_text("dense accuracy")).to_be_visible()

    # ten sparsities of weights, an empty column, ten of channels: the first group at 50 %
    idle(page)
    page.mouse.click(*cell_at(page, row=0, column=15))
    expect(page.get_by_text("50 % of its neurons removed").first).to_be_visible()
    expect(page.get_by_text("neurons coupled in 2 layers")).to_be_visible()
    page.get_by_role("button", name="Cut here").click()
    expect(page.get_by_text("is in the plan now.")).to_be_visible()

    page.get_by_role("link", name="Deliver").click()
    expect(page.get_by_text("Shrunk: channels, heads and blocks are gone")).to_be_visible()
    page.get_by_role("button", name="Export", exact=True).click()
    link = page.get_by_role("link", name="Download")
    expect(link).to_be_visible(timeout=90_000)
    expect(page.get_by_text("equals the masked model: outputs at most")).to_be_visible()
    with page.expect_download() as waiting:
        link.click()
    archive = tmp_path / "bundle.zip"
    waiting.value.save_as(archive)
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(tmp_path / "unpacked")
    (folder,) = (tmp_path / "unpacked").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["form"] == "shrunk"
    assert manifest["shrunk"]["parameters"] < manifest["shrunk"]["dense_parameters"] == 5764
    assert [(c["granularity"], c["sparsity"]) for c in json.loads((folder / "plan.json").read_text())["cuts"]] == [
        ("channel", 0.5)
    ]
    page.get_by_text("Files (", exact=False).click()
    for name in ("model.onnx", "card.html"):  # a page out of a bundle is saved, never opened as one of ours
        with page.expect_download() as waiting:
            page.get_by_role("link", name=name).click()
        waiting.value.save_as(tmp_path / name)
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("Verified again")).to_be_visible(timeout=90_000)
    expect(page.get_by_text("the zip is as it was sealed")).to_be_visible()
    verify = [SECATEUR, "verify", folder, "--model", tmp_path / "my_workload.py", "--json"]
    done = subprocess.run(verify, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["verified"] is True
