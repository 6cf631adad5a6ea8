"""Inside the plan, on the Tune screen: none, under way, failed, stopped, finished."""

from core import Cut, SparsityPlan
from core.jobs.worker import execute
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
    assert "The map was stopped" in texts(app)
    button(app, "Go on").click().run()
    assert runs.get(started[0]).state == "queued"
