"""A note when a measurement ends: in the page, in its title, and the way to the place; in a real browser."""

import os
import re
import time

import psutil
import pytest
from playwright.sync_api import expect

from core.plans.plan import Cut, SparsityPlan
from tests.benchmarks.tuner import synthetic
from tests.browser.conftest import served

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_measurement_that_ends_is_told_until_it_is_dismissed_and_leads_to_its_place(tmp_path, open_page):
    runs, ref = synthetic(tmp_path, 12)
    first = runs.description(ref)[0].weight_targets[0].name
    plan = SparsityPlan((Cut(first, "weight", 0.31),), ref)
    runs.save_draft(ref, plan)
    result = dict(runs.list("measure", ref)[0].result)
    with served(ref, "--workspace", runs.workspace.folder) as address:
        page = open_page(f"{address}/tune?model=synthetic")
        how = page.locator("[data-part=how]")
        expect(how).to_have_text("predicted")
        expect(page.locator(".notices .note")).to_have_count(0)  # what ended before is no news
        run, _ = runs.submit("measure", ref, {"workload": ref, "plan": plan.to_document()})
        me = psutil.Process(os.getpid())
        at_work = {"pid": me.pid, "pid_started": me.create_time(), "started": time.time(), "total": 1}
        runs.update(run.id, state="running", **at_work)
        expect(page.get_by_role("button", name="Being measured …")).to_be_disabled()
        runs.update(run.id, state="finished", ended=time.time(), done=1, result=result)
        note = page.locator(".notices .note")
        expect(note).to_contain_text("measured, drop ")
        expect(note).to_contain_text("n = 10,000")
        expect(page).to_have_title(re.compile("^✓ measured · "))
        expect(how).to_have_text("measured")  # where the button is
        page.get_by_test_id("stTopNavLink").filter(has_text="Map").click()
        expect(page.locator(".notices .note")).to_have_count(1)
        page.get_by_role("button", name="Show it on Tune").click()
        expect(how).to_have_text("measured")
        expect(page.locator("#plans")).to_be_in_viewport()
        expect(page.locator(".notices .note")).to_have_count(0)
        expect(page).not_to_have_title(re.compile("✓"))
