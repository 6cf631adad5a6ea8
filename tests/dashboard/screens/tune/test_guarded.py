"""Guards for groups of the examples, on the forms of the Tune screen; and who suffers beside a measured plan."""

from pathlib import Path

import pytest

from core import Cut, SparsityPlan, sweep
from core.jobs.known.search_words import group_lines
from core.jobs.runs import RunStore
from core.jobs.submissions import plan_submission
from core.jobs.worker import execute
from core.workload.metric import accuracy
from core.workspace import Workspace
from tests.dashboard.conftest import ATTENTIVE
from tests.dashboard.screens.tune.test_plans import button, texts

pytestmark = pytest.mark.model
COLUMNS = ATTENTIVE.replace(
    "batch_size=60)", 'batch_size=60, columns={"half": ["left" if i < 60 else "right" for i in range(120)]})'
)
PLAN = SparsityPlan((Cut("fc", "weight", 0.5),))


@pytest.fixture(scope="module")
def swept_by_group(tmp_path_factory):
    """Folder of a workspace and the model, whose examples have a column; not to be changed but by adding runs."""
    folder = tmp_path_factory.mktemp("grouped")
    ref = str(folder / "grouped.py")
    Path(ref).write_text(COLUMNS)
    sweep(ref, sparsities=(0.5, 0.9), workspace=folder / "workspace", preview=False)
    return folder / "workspace", ref


@pytest.fixture
def grouped(swept_by_group, monkeypatch):
    folder, ref = swept_by_group
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(folder))
    return RunStore(Workspace(folder)), ref


def guard(app, key, points):
    """The app once the column is guarded, with that many points."""
    next(box for box in app.multiselect if box.key.startswith(f"{key}-guards")).select("half").run()
    box = next(box for box in app.number_input if box.key.startswith(f"{key}-guard-half"))
    assert box.label == "half: at most, points"
    assert box.value == pytest.approx(3.0)  # three times the tolerance of the Map screen
    return box.set_value(points).run()


def test_the_smallest_plan_is_asked_for_with_a_bound_for_every_group(grouped, started, open_screen):
    runs, ref = grouped
    app = guard(open_screen("tune", ref), "search", 2.0)
    assert "Every guarded group has to show" in texts(app)
    button(app, "Find it").click().run()
    assert runs.get(started[0]).request["guards"] == {"half": pytest.approx(0.02)}


def test_a_budget_is_refined_with_a_bound_for_every_group_and_its_plan_is_taken(grouped, started, open_screen):
    runs, ref = grouped
    app = guard(open_screen("tune", ref), "refine", 60.0)
    button(app, "Refine it").click().run()
    run = runs.get(started[-1])
    assert (run.kind, run.request["left"], run.request["guards"]) == ("refine", 0.5, {"half": pytest.approx(0.6)})
    runs.update(run.id, phase="round 2 of 4")
    assert "Refining the plan of 50 % of the non-zeros: round 2 of 4" in texts(open_screen("tune", ref))
    assert execute(runs, run.id).state == "finished"
    app = open_screen("tune", ref)
    assert any(line.value.startswith("Best plan within 50 % of the non-zeros") for line in app.text)
    button(app, "Take this plan").click().run()
    best = SparsityPlan.from_document(runs.get(run.id).result["best"]["document"])
    assert runs.draft(ref) == best


def test_who_suffers_stands_beside_a_measured_plan(grouped, open_screen):
    runs, ref = grouped
    runs.save_draft(ref, PLAN)
    run, _ = runs.submit("measure", *plan_submission(ref, PLAN))
    assert execute(runs, run.id).state == "finished"
    lines = group_lines(accuracy().scale, runs.get(run.id).result)
    assert "intervals that hold for all 5 groups together" in lines[0]  # two halves, three classes
    assert set(lines) <= {line.value for line in open_screen("tune", ref).text}
