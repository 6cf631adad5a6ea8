"""The frontier on the Tune screen: asked for, under way, stopped, finished, and a point opened as the draft."""

from dataclasses import replace

from core import SparsityPlan
from core.jobs.submissions import frontier_submission
from core.jobs.worker import execute
from core.profiling.frontier.request import FrontierRequest
from tests.dashboard.screens.tune.test_plans import button, texts


def test_a_frontier_is_asked_for_goes_on_and_its_points_open(coupled, started, open_screen):
    runs, ref = coupled
    app = open_screen("tune", ref)
    assert "Frontier on an engine" in [one.value for one in app.subheader]
    next(box for box in app.selectbox if box.label == "Engine").select("eager").run()
    button(app, "Draw it").click().run()
    run = runs.get(started[0])
    asked = FrontierRequest.from_json(run.request["frontier"])
    assert (run.kind, asked.engine, len(asked.budgets), asked.kind) == ("frontier", "eager", 6, "flops")
    runs.ask_to_stop(run.id)
    app = open_screen("tune", ref)
    assert "The frontier was cancelled" in texts(app)
    quick = replace(asked, budgets=(0.8, 0.6), rounds=6, seconds=0.01, peers=("uniform",))
    run, _ = runs.submit("frontier", *frontier_submission(ref, quick))
    assert execute(runs, run.id).state == "finished"
    app = open_screen("tune", ref)
    table = next(one.value for one in app.dataframe if "times as fast" in one.value)
    assert list(table["plan by"]) == ["dense", "solver", "uniform", "solver", "uniform"]
    report = runs.frontier_report(runs.get(run.id))
    first = next(point for point in report.points if point.plan)
    button(app, "Open as the plan above").click().run()
    assert runs.draft(ref) == SparsityPlan.from_document(first.document)


def test_what_is_being_done_keeps_the_names_in_it(coupled, open_screen):
    runs, ref = coupled
    run, _ = runs.submit("frontier", *frontier_submission(ref, FrontierRequest("eager", (0.8, 0.6))))
    runs.update(run.id, phase="ONNX Runtime: writing stage1 at 60 %")
    app = open_screen("tune", ref)
    assert "ONNX Runtime: writing stage1 at 60 % …" in [one.proto.text for one in app.get("progress")]
