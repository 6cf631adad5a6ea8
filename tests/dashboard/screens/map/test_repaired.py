"""Raw and repaired maps on the Map screen, from the form to the cell that was clicked."""

import pytest

from core import Cut, SparsityPlan, sweep
from core.sensitivity.request import SweepRequest
from dashboard.screens.map.repairs_panel import VIEWS
from tests.dashboard.conftest import ATTENTIVE, map_of
from tests.dashboard.screens.tune.test_plans import button, texts
from tests.dashboard.test_screens import figure

pytestmark = pytest.mark.model
BOTH = {
    "Drop of every layer at every sparsity, raw",
    "Drop of every layer at every sparsity, repaired by least-squares",
}


def views(app):
    return [control for control in app.button_group if control.label == "Repair"]


def test_where_nothing_was_repaired_there_is_no_choice(workspace, open_screen):
    assert not views(open_screen("map", workspace[1]))


def test_the_newest_run_is_shown_as_it_is_with_the_other_way_behind_its_curves(repaired, open_screen):
    app = open_screen("map", repaired[1])
    assert views(app)[0].value == "repaired"
    assert "Every cut is repaired by least-squares" in texts(app)
    assert "repaired by least-squares" in next(box for box in app.selectbox if box.label == "Run").options[0]
    assert any(trace.get("name", "").endswith(", raw") for trace in figure(app, "Metric against sparsity")["data"])
    assert "Dotted: raw, n = " in texts(app)
    assert "measured both ways" in texts(app)


def test_both_maps_stand_beside_each_other_or_as_their_difference(repaired, open_screen):
    app = open_screen("map", repaired[1])
    assert set(views(app)[0].options) == set(VIEWS.values())
    views(app)[0].set_value("beside").run()
    assert not app.exception
    raw, mended = (map_of(app, words) for words in BOTH)
    assert raw["tolerance"] == mended["tolerance"]
    assert raw["cells"].keys() == mended["cells"].keys()
    views(app)[0].set_value("back").run()
    assert not app.exception
    assert figure(app, "What the repair gives back")["data"]


def test_a_raw_run_says_of_cells_that_nobody_has_repaired_why_there_is_nothing(repaired, open_screen):
    runs, ref = repaired
    raw = next(run for run in runs.list("sweep", ref) if not run.request.get("repair"))
    app = open_screen("map", ref)
    next(box for box in app.selectbox if box.label == "Run").set_value(raw.id).run()
    views(app)[0].set_value("repaired").run()
    assert not app.exception
    drawn = map_of(app, "Drop of every layer at every sparsity")["cells"].values()
    assert any("no sweep repaired by least-squares has measured it" in cell["lines"] for cell in drawn)
    assert "not measured with the repair" in texts(app)


def test_a_clicked_cell_names_both_drops_and_begins_a_plan_with_the_repair(repaired, open_screen):
    runs, ref = repaired
    app = open_screen("map", ref)
    app.session_state["chosen_cut"] = Cut("fc", "weight", 0.9, "magnitude")
    app.run()
    assert "**raw**: drop" in texts(app)
    assert "**repaired by least-squares**: drop" in texts(app)
    button(app, "Cut here").click().run()
    assert runs.draft(ref) == SparsityPlan((Cut("fc", "weight", 0.9),), repair="least-squares")


def test_the_form_asks_for_a_repair(fresh, open_screen, started):
    runs, ref = fresh
    app = open_screen("map", ref)
    field = app.selectbox(key=f"repair-{ref}")
    assert not field.disabled
    field.set_value("bias")
    button(app, "Measure").click().run()
    (run,) = runs.list("sweep", ref)
    assert SweepRequest.from_json(dict(run.request)).repair == "bias"


def test_without_calibration_data_the_choice_is_greyed_and_says_why(tmp_path, monkeypatch, open_screen):
    ref = tmp_path / "blind.py"
    ref.write_text(ATTENTIVE.replace("accuracy(), calibration,", "accuracy(),"))
    sweep(str(ref), sparsities=(0.5,), heads=False, workspace=tmp_path / "workspace", preview=False)
    monkeypatch.setenv("SECATEUR_WORKSPACE", str(tmp_path / "workspace"))
    app = open_screen("map", str(ref))
    assert app.selectbox(key=f"repair-{ref}").disabled
    assert "this model has none: give its Workload calibration=" in texts(app)
