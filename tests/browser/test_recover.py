"""A recovery in a real browser: asked for, watched, and rolled back. Everything else of it: tests/dashboard."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.lists import choose
from tests.browser.test_from_first_page_to_bundle import idle

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_from_the_form_over_live_rounds_to_a_roll_back(dashboard, open_page):
    page = open_page(f"{dashboard}/recover?model=my_workload")
    expect(page.get_by_text("Planned, not measured. 5 rounds, 80 optimiser steps")).to_be_visible()
    number = page.get_by_role("spinbutton", name="Final sparsity, %")
    number.fill("80")
    number.press("Enter")
    page.get_by_text("More about the training").click()
    steps = page.get_by_role("spinbutton", name="Steps per round")
    steps.fill("40")
    steps.press("Enter")
    expect(page.get_by_text("5 rounds, 200 optimiser steps")).to_be_visible()
    idle(page)
    page.get_by_role("button", name="Start").click()

    expect(page.get_by_text(re.compile("^Recovering: "))).to_be_visible()
    expect(page.get_by_text("What is lost is at most the round under way")).to_be_visible()
    expect(page.get_by_role("button", name="Start")).to_be_hidden()
    expect(page.get_by_role("img", name="Training loss of every round").locator("svg").first).to_be_visible()
    expect(page.get_by_text("round 5 of 5, planned to end at 80 %")).to_be_visible(timeout=60_000)

    expect(page.get_by_role("button", name=re.compile(r"Go on from round \d"))).to_be_visible()
    expect(page.get_by_text("5 rounds, 200 optimiser steps")).to_be_visible()  # the form is as it was left
    expect(page.get_by_text("Nothing is running.")).to_be_visible()
    idle(page)
    page.get_by_role("button", name="Sweep the recovered model").scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # a list that opens while the page still moves closes at once
    choose(
        page.get_by_role("combobox", name="Round", exact=True),
        page.get_by_role("option", name=re.compile("round 2: ")),
    )
    page.get_by_role("button", name="Go on from round 2").click()
    expect(page.get_by_text("from round 2 of an earlier one")).to_be_visible()
    expect(page.get_by_text("The run went on from round 2: losses before are not kept.")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("round 5 of 5, planned to end at 80 %")).to_be_visible(timeout=60_000)
