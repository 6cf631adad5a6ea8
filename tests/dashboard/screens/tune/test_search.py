"""Sharpening the prediction, and the search for the smallest plan within a tolerance, on the Tune screen."""

import dataclasses

import pytest

from core import Cut, Estimate, SparsityPlan
from core.jobs.known.plan_book import PlanBook
from core.plans.prediction import HarmCurve, Link, Prediction, Predictor
from core.workload.metric import accuracy
from dashboard.frame.strip import progress_text
from dashboard.screens.tune.anchors_panel import harmful, usual
from dashboard.screens.tune.search_panel import searchable
from tests.dashboard.conftest import HALF, measured
from tests.dashboard.screens.tune.test_plans import button, texts

LINK = Link((0.0, 1.0), (0.9, 0.8), (0.88, 0.75), (0.92, 0.85))
BEST = SparsityPlan((Cut("fc", "weight", 0.5),))


def predictor(*curves):
    made = [HarmCurve("a", kind, None, 1, (0.0, 1.0), (0.0, harm)) for kind, harm in curves]
    return Predictor(accuracy().scale, 0.9, 100, "metric", {one.key: one for one in made}, LINK)


def a_try(left, drop):
    found = dataclasses.asdict(Estimate(drop, drop - 0.001, drop + 0.001, 120))
    foreseen = Prediction(1.0, 0.89, 0.88, 0.9, 0.01, 0.0, 0.02).to_json()
    return {"plan": BEST.fingerprint()[:8], "left": left, "drop": found, "predicted": foreseen}


@pytest.fixture
def search(workspace, started, open_screen):
    """Starts a search from the screen, and makes the run what the worker would."""
    runs, ref = workspace
    button(open_screen("tune", ref), "Find it").click().run()
    run = runs.get(started[0])

    def become(**columns):
        if "result" in columns:
            columns["result"] = {"model": runs.description(ref)[0].fingerprint, **columns["result"]}
        runs.update(run.id, **columns)
        return open_screen("tune", ref)

    return runs, ref, run, become


def test_only_what_was_measured_to_do_harm_is_cut_to_sharpen_a_prediction():
    able = harmful(predictor(("head", 0.1), ("weight", 0.2), ("channel", 0.0)))
    assert able == ["weight", "head"]
    assert usual(SparsityPlan((Cut("a:0", "head"),)), able) == ["head"]
    assert usual(SparsityPlan(), able) == ["weight"]


def test_costs_are_offered_of_which_something_was_measured():
    countable = ["nonzeros", "parameters", "flops", "bytes"]
    assert searchable(predictor(("weight", 0.2)), countable) == ["nonzeros", "flops", "bytes"]
    assert searchable(predictor(("channel", 0.2)), countable) == ["parameters", "flops", "milliseconds"]
    assert searchable(predictor(("channel", 0.2)), ["parameters"]) == ["parameters", "milliseconds"]


def test_until_a_plan_was_measured_the_screen_says_why_and_measures_six_with_one_click(workspace, started, open_screen):
    runs, ref = workspace
    runs.save_draft(ref, SparsityPlan((Cut("fc", "weight", 0.5),)))
    app = open_screen("tune", ref)
    assert "No whole plan was measured yet" in texts(app)
    button(app, "Sharpen the prediction").click().run()
    run = runs.get(started[0])
    assert (run.kind, run.request["n"], run.request["granularities"]) == ("anchors", 6, ["weight"])
    assert button(app, "Being measured …").disabled
    assert "sharpening the prediction for" in progress_text(run)


def test_once_plans_were_measured_sharpening_stands_back(workspace, open_screen):
    runs, ref = workspace
    measured(runs, ref, HALF)
    app = open_screen("tune", ref)
    assert "No whole plan was measured yet" not in texts(app)
    assert not button(app, "Sharpen the prediction").disabled


def test_a_search_asks_for_the_tolerance_of_the_map_and_the_cost_that_is_chosen(workspace, started, open_screen):
    runs, ref = workspace
    app = open_screen("tune", ref)
    next(box for box in app.number_input if box.label.startswith("Tolerance")).set_value(2.0).run()
    next(box for box in app.selectbox if box.label == "Make smallest").select("bytes").run()
    button(app, "Find it").click().run()
    request = runs.get(started[0]).request
    assert (request["tolerance"], request["kind"], request["samples"]) == (pytest.approx(0.02), "bytes", "all")


def test_a_search_is_even_where_something_that_can_be_is_cut(coupled, started, open_screen):
    runs, ref = coupled
    app = open_screen("tune", ref)
    costs = next(box for box in app.selectbox if box.label == "Make smallest")
    costs.select("nonzeros").run()
    assert "even layers" not in [box.label for box in app.checkbox]
    next(box for box in app.selectbox if box.label == "Make smallest").select("parameters").run()
    next(box for box in app.checkbox if box.label == "even layers").check().run()
    button(app, "Find it").click().run()
    request = runs.get(started[0]).request
    assert (request["kind"], request["even"]) == ("parameters", True)


def test_while_a_search_runs_its_phase_and_its_tries_are_shown_and_no_second_one_is_offered(search):
    *_, become = search
    app = become(phase="measuring plan 2, 40 % left", result={"tries": [a_try(0.5, 0.002)], "best": None})
    assert "Searching for the fewest non-zeros within" in texts(app)
    assert "measuring plan 2, 40 % left" in texts(app)
    assert "Find it" not in [b.label for b in app.button]
    frame = next(table.value for table in app.dataframe if "tolerance" in table.value.columns)
    assert list(frame["non-zeros left"]) == ["50 %"]
    assert list(frame["tolerance"]) == ["within"]
    assert list(frame["predicted drop, points"]) == ["+1.00 [0.00, +2.00]"]


def test_what_a_search_found_is_told_and_taken_with_its_maker(search, started):
    runs, ref, _, become = search
    best = {**a_try(0.5, 0.002), "document": BEST.to_document()}
    app = become(state="finished", result={"tries": [a_try(0.5, 0.002)], "best": best, "settled": True})
    assert f"plan {BEST.fingerprint()[:8]}, 50 % of the non-zeros left" in app.success[0].value
    button(app, "Take this plan").click().run()
    assert runs.draft(ref) == BEST
    assert button(app, "This is the plan above").disabled
    button(app, "Measure this plan").click().run()
    assert PlanBook(runs.workspace).get(ref, BEST.fingerprint()).made_by == "minimise"


def test_a_search_that_found_nothing_offers_nothing(search):
    *_, become = search
    app = become(state="finished", result={"tries": [a_try(0.5, 0.2)], "best": None, "settled": True})
    assert "No plan is within" in texts(app)
    assert "Take this plan" not in [b.label for b in app.button]


def test_a_search_that_failed_says_why_and_can_go_on(search, started):
    *_, run, become = search
    app = become(state="failed", error="the disk is full")
    assert "was failed" not in texts(app)
    assert "the disk is full" in texts(app)
    button(app, "Resume").click().run()
    assert started == [run.id, run.id]


def test_without_a_sweep_there_is_nothing_to_search_with(fresh, open_screen):
    app = open_screen("tune", fresh[1])
    assert not {"Find it", "Sharpen the prediction"} & {b.label for b in app.button}
