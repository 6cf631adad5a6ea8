"""Inside the plan, on the Tune screen: none, under way, failed, stopped, finished."""

import os
from dataclasses import replace

import psutil

from core import Cut, Estimate, SparsityPlan
from core.jobs.worker import execute
from core.plans.cut_words import cut_text
from core.sensitivity.inside.report import Moved
from tests.dashboard.screens.tune.test_plans import button, texts

PLAN = SparsityPlan((Cut("fc", "weight", 0.9), Cut("layer.linear1", "weight", 0.9)))


def test_a_plan_is_measured_row_by_row_and_rows_are_given_back(workspace, started, open_screen):
    runs, ref = workspace
    app = open_screen("tune", ref)
    assert "Inside the plan" not in texts(app)
    runs.save_draft(ref, PLAN)
    app = open_screen("tune", ref)
    assert "this gives back every row alone" in texts(app)
    button(app, "Measure its rows").click().run()
    run = runs.get(started[0])
    assert (run.kind, SparsityPlan.from_document(run.request["plan"]).cuts) == ("undo", PLAN.cuts)
    assert button(open_screen("tune", ref), "Being measured …").disabled
    runs.update(run.id, state="failed", error="no such luck")
    assert "The rows could not be measured: no such luck" in texts(open_screen("tune", ref))
    runs.requeue(run.id)
    assert execute(runs, run.id).state == "finished"
    app = open_screen("tune", ref)
    table = next(one.value for one in app.dataframe if "given back" in one.value)
    assert sorted(table["row"]) == ["fc at 90 %", "layer.linear1 at 90 %"]
    assert all("costs" in text for text in table["given back"])
    assert "The plan: drop" in texts(app)
    runs.save_draft(ref, SparsityPlan(PLAN.cuts[:1]))
    app = open_screen("tune", ref)
    assert "rows of another plan" in texts(app)
    assert not button(app, "Measure its rows").disabled


def test_a_map_that_was_stopped_goes_on(workspace, started, open_screen):
    runs, ref = workspace
    runs.save_draft(ref, PLAN)
    button(open_screen("tune", ref), "Measure its rows").click().run()
    runs.ask_to_stop(started[0])
    app = open_screen("tune", ref)
    assert "The map was cancelled" in texts(app)
    button(app, "Resume").click().run()
    assert runs.get(started[0]).state == "queued"


def test_rows_are_raced_beside_the_cost_that_is_chosen_and_shown_as_they_are_measured(workspace, started, open_screen):
    runs, ref = workspace
    runs.save_draft(ref, PLAN)
    app = open_screen("tune", ref)
    costs = next(box for box in app.selectbox if box.label.startswith("What a row costs"))
    assert costs.options == ["non-zeros", "FLOPs", "bytes"]  # the plan takes no parameter out
    costs.select("bytes").run()
    next(box for box in app.checkbox if box.label.startswith("stop each row")).check().run()
    button(app, "Measure its rows").click().run()
    run = runs.get(started[0])
    assert (run.request["cost"], run.request["mode"]) == ("bytes", "race")
    assert execute(runs, run.id).state == "finished"
    # as it stood a while before: one row on some of the examples, the other not yet
    result = runs.get(run.id).result
    rows = list(runs.undo_report(runs.get(run.id)).rows)
    change = Estimate(0.1, 0.05, 0.15, 24)
    rows[0] = replace(rows[0], back=Moved("measured", change, change, stage="open"))
    rows[1] = replace(rows[1], back=Moved(), further=None)
    runs.update(run.id, state="running", pid=os.getpid(), pid_started=psutil.Process().create_time())
    runs.set_news(run.id, dict(enumerate(rows)), 3, 0, 9, "giving back 2 rows, 24 of 96 examples", result)
    app = open_screen("tune", ref)
    table = next(one.value for one in app.dataframe if "given back" in one.value)
    told = dict(zip(table["row"], table["given back"], strict=True))
    assert told[cut_text(rows[0].cut)].startswith("worth 10.00 points [+5.00, +15.00], n = 24 so far, costs")
    assert told[cut_text(rows[1].cut)] == "not measured yet"
    assert "So far: of the examples that each row says" in texts(app)
