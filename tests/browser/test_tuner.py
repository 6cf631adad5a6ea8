"""The tuner under hands, in a real browser: a model of twelve targets of which every cut is measured."""

import re
from dataclasses import asdict

import pytest
from playwright.sync_api import expect

from core.plans.plan import Cut, SparsityPlan
from core.sensitivity.inside.report import Moved, RowWorth
from core.sensitivity.report import Estimate
from tests.benchmarks.tuner import synthetic
from tests.browser.conftest import served
from tests.browser.test_from_first_page_to_bundle import idle

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def model(tmp_path):
    """Runs, the model, and the address of its Tune screen."""
    runs, ref = synthetic(tmp_path, 12, structure=True)
    with served(ref, "--workspace", runs.workspace.folder) as address:
        yield runs, ref, f"{address}/tune?model=synthetic"


@pytest.fixture
def blind(tmp_path):
    """The same, never swept."""
    runs, ref = synthetic(tmp_path, 12, sweep=False)
    with served(ref, "--workspace", runs.workspace.folder) as address:
        yield runs, ref, f"{address}/tune?model=synthetic"


def percents(page):
    """What stands in the fields of the rows, by name."""
    fields = page.locator(".list .percent").all()
    return {field.get_attribute("aria-label").split(",")[0]: field.input_value() for field in fields}


def slider(page, name):
    return page.get_by_label(f"{name}, percent to remove", exact=True)


def settled(page):
    """Until the server has answered the last edit."""
    expect(page.locator(".tuner")).to_have_attribute("aria-busy", "false")
    idle(page)


def drag(page, target, share):
    box = target.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8, y)
    page.mouse.down()
    page.mouse.move(box["x"] + share * box["width"], y, steps=6)


def test_a_slider_a_lock_and_a_goal_and_after_a_reload_the_plan_is_there(model, open_page):
    runs, ref, url = model
    page = open_page(url)
    first, second, *_ = (t.name for t in runs.description(ref)[0].weight_targets)
    drop = page.locator("[data-part=drop]")
    expect(drop).to_have_text(re.compile("points"))
    before = drop.inner_text()

    # predicted while the mouse is down, and nothing is on disk yet
    drag(page, slider(page, first), 0.6)
    expect(drop).not_to_have_text(before)
    assert runs.draft(ref).cuts == ()
    page.mouse.up()
    settled(page)
    (cut,) = runs.draft(ref).cuts
    assert cut.target == first
    assert 0.55 < cut.sparsity < 0.65

    # by keyboard
    slider(page, second).focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_label(f"{second}, percent to remove, typed", exact=True)).to_have_value("5")
    settled(page)
    assert runs.draft(ref).sparsity_of(second) == 0.05

    # a lock, and a goal that moves all others
    page.get_by_label(f"Lock {first}", exact=True).click()
    expect(page.get_by_label(f"Lock {first}", exact=True)).to_have_attribute("aria-pressed", "true")
    start = percents(page)
    goal = page.locator("[data-part=goal]")
    box = goal.bounding_box()
    page.mouse.move(box["x"] + 0.97 * box["width"], box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + box["height"] / 2, steps=6)
    expect(page.locator("[data-part=note]")).to_have_text(re.compile("≈ while you drag"))
    moving = percents(page)
    page.mouse.up()
    expect(page.locator("[data-part=note]")).to_have_text(re.compile("solved"))
    settled(page)
    solved = percents(page)
    assert moving[first] == solved[first] == start[first]
    assert len([name for name in start if moving[name] != start[name]]) >= 3
    plan = runs.draft(ref)
    assert plan.sparsity_of(first) == cut.sparsity
    assert {name: f"{100 * plan.sparsity_of(name):g}" for name in (first, second)} == {
        name: solved[name] for name in (first, second)
    }

    # a reload, a second browser, and undo
    page.reload()
    expect(page.locator("[data-part=drop]")).to_have_text(re.compile("points"))
    assert percents(page) == solved
    other = open_page(url, scheme="dark")
    expect(other.locator("[data-part=drop]")).to_have_text(re.compile("points"))
    assert percents(other) == solved
    expect(page.get_by_label(f"Lock {first}", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Control+z")
    expect(page.get_by_label(f"{second}, percent to remove, typed", exact=True)).to_have_value("5")
    assert runs.draft(ref).sparsity_of(second) == 0.05


def test_rows_are_found_sorted_and_set_together(model, open_page):
    runs, ref, url = model
    runs.save_draft(ref, SparsityPlan((Cut("stage0.0.conv1", "2:4"),), ref))
    page = open_page(url)
    rows = page.locator(".list .row")
    expect(rows).to_have_count(12)
    page.get_by_label("Filter rows by a regular expression").fill("^stage[01]")
    page.get_by_role("group", name="Kinds of rows").get_by_text("channels").click()  # and groups of channels are hidden
    shown = rows.count()
    assert 0 < shown < 12
    expect(page.get_by_text(f"{shown} of 12 rows")).to_be_visible()
    page.get_by_label("Percent for the shown rows").fill("30")
    page.get_by_role("button", name="Apply").click()
    settled(page)
    cuts = [cut for cut in runs.draft(ref).cuts if cut.granularity != "2:4"]
    assert {(cut.sparsity, cut.granularity) for cut in cuts} == {(0.3, "weight")}
    assert len(cuts) == shown

    page.get_by_label("Filter rows by a regular expression").fill("")
    page.get_by_role("button", name="share of cost").click()
    shares = [float(re.sub(r"[^\d.]", "", text) or 0) for text in page.locator(".list .share.cost").all_inner_texts()]
    assert shares == sorted(shares, reverse=True)

    # a pattern that the map put there is taken out, and a head removed
    page.get_by_role("button", name="Take out the cut to 2:4").click()
    page.get_by_label(re.compile("^Remove blocks")).first.check()
    settled(page)
    kinds = {cut.granularity for cut in runs.draft(ref).cuts}
    assert kinds == {"weight", "head"}


def test_without_a_sweep_sliders_work_and_nothing_is_predicted(blind, open_page):
    runs, ref, url = blind
    page = open_page(url)
    expect(page.get_by_text("sweep on the Map screen to predict")).to_be_visible()
    expect(page.locator("[data-part=drop]")).to_have_text("?")
    expect(page.locator("[data-part=goal]")).to_be_disabled()
    drag(page, page.locator(".list .slider").first, 0.5)
    page.mouse.up()
    settled(page)
    assert len(runs.draft(ref).cuts) == 1


def test_an_even_goal_takes_the_same_from_layers_of_a_kind(model, open_page):
    runs, ref, url = model
    page = open_page(url)
    even = page.get_by_label("even layers", exact=True).first  # another stands at the search below
    expect(page.locator("[data-part=drop]")).to_have_text(re.compile("points"))
    expect(even).to_be_hidden()  # of zeros no layer is even
    page.get_by_label("Kind of goal").select_option("parameters")
    even.check()
    page.get_by_label("Goal, typed").fill("90")
    page.get_by_label("Goal, typed").press("Enter")
    expect(page.locator("[data-part=note]")).to_have_text(re.compile("solved|nearest"))
    settled(page)
    found = runs.description(ref)[0]
    by_kind = {}
    for target in found.targets:
        if target.granularity == "channel":
            kind = re.sub(r"\d+", "*", target.name.split(".", 1)[1]), target.n_units, target.name.split(".", 1)[0]
            cut = next((c for c in runs.draft(ref).cuts if (c.granularity, c.target) == ("channel", target.name)), None)
            by_kind.setdefault(kind, set()).add(cut.sparsity if cut else 0.0)
    assert by_kind
    assert all(len(sparsities) == 1 for sparsities in by_kind.values())
    assert runs.draft(ref).cuts


def test_what_rows_are_worth_stands_beside_them_and_turns_grey_when_a_slider_moves(model, open_page):
    runs, ref, url = model
    description = runs.description(ref)[0]
    first, second, *_ = (t.name for t in description.weight_targets)
    plan = SparsityPlan((Cut(first, "weight", 0.5), Cut(second, "weight", 0.5)), ref)
    runs.save_draft(ref, plan)
    gains = (Estimate(0.008, -0.002, 0.018, 100), Estimate(0.02, 0.01, 0.03, 100))
    rows = [
        RowWorth(cut, Moved("measured", gain), {"nonzeros": 0.03}) for cut, gain in zip(plan.cuts, gains, strict=True)
    ]
    run, _ = runs.submit("undo", ref, {"plan": plan.to_document()})
    result = {
        "metric": asdict(description.scale), "model": description.fingerprint, "plan": plan.to_document(),
        "cost": "nonzeros", "dense": None, "drop": asdict(gains[0]), "unseen": True, "n": 100, "together": [],
        "damage": [], "damage_n": 0,
    }  # fmt: skip
    runs.set_cells(run.id, rows)
    runs.update(run.id, state="finished", result=result)
    page = open_page(url)
    worth = page.locator(".list .worth")
    expect(page.locator(".head .worth")).to_have_text("inside the plan")
    expect(worth.first).to_have_text("worth 0.80\u00b7costs 3 %")
    expect(worth.nth(1)).to_have_text("worth 2.00costs 3 %")
    page.locator(".head .worth").click()  # the best first
    expect(worth.first).to_have_text("worth 2.00costs 3 %")
    slider(page, first).focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".head .worth")).to_have_text("inside another plan")
    settled(page)
    expect(page.locator(".head .worth")).to_have_text("inside another plan")
    expect(page.locator(".tuner")).to_have_class(re.compile("stale"))


def test_a_row_is_one_tab_stop_keys_held_are_one_step_and_a_wrong_filter_stops_bulk_edits(model, open_page):
    runs, ref, url = model
    page = open_page(url)
    rows = page.locator(".list .row")
    expect(rows).to_have_count(12)
    stops = "row => [...row.querySelectorAll('button, input')].filter(one => one.tabIndex >= 0).length"
    assert {row.evaluate(stops) for row in rows.all()} == {1}
    first, second, third, *_ = (t.name for t in runs.description(ref)[0].weight_targets)

    # from the filter into the list, a number by keys, and arrows held: each is one step
    filter_ = page.get_by_label("Filter rows by a regular expression")
    filter_.focus()
    page.keyboard.press("ArrowDown")
    expect(slider(page, first)).to_be_focused()
    page.keyboard.type("12")
    page.keyboard.press("Enter")
    expect(slider(page, first)).to_be_focused()
    page.keyboard.press("ArrowDown")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("l")
    settled(page)
    plan = runs.draft(ref)
    assert (plan.sparsity_of(first), plan.sparsity_of(second)) == (0.12, 0.06)
    expect(page.get_by_label(f"Lock {third}", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Control+z")
    expect(page.get_by_label(f"{second}, percent to remove, typed", exact=True)).to_have_value("0")
    assert runs.draft(ref).sparsity_of(first) == 0.12

    filter_.fill("^stage0")
    shown = rows.count()
    filter_.fill("^stage(")
    expect(page.get_by_text("is not a regular expression")).to_be_visible()
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()
    assert rows.count() == shown < 12
    filter_.fill("")
    expect(page.get_by_role("button", name="Apply")).to_be_enabled()
    expect(rows).to_have_count(12)
