"""A plan with a repair on the screens: chosen, passed on, predicted from repaired cells, and refused by Recover."""

from dataclasses import replace

import pytest

from core import Cut, SparsityPlan
from core.sensitivity.request import SweepRequest
from tests.dashboard.conftest import measured, plans_table, tuner_of
from tests.dashboard.screens.tune.test_plans import button, texts

pytestmark = pytest.mark.model
PLAN = SparsityPlan((Cut("fc", "weight", 0.5),), repair="least-squares")


def choice(app, ref, repair):
    return app.selectbox(key=f"plan-repair-{ref}-{repair}")


def test_the_draft_takes_the_repair_and_undo_gives_it_back(workspace, open_screen):
    runs, ref = workspace
    runs.save_draft(ref, replace(PLAN, repair=None))
    app = open_screen("tune", ref)
    assert tuner_of(app)["model"]["dense"] is not None
    choice(app, ref, None).set_value("least-squares").run()
    assert runs.draft(ref) == PLAN
    assert tuner_of(app)["model"]["dense"] is None
    assert "nothing is predicted until such cells are measured" in texts(app)
    button(app, "Undo").click().run()
    assert runs.draft(ref).repair is None
    assert choice(app, ref, None).value is None


def test_without_repaired_cells_the_screen_has_them_measured(workspace, open_screen, started):
    runs, ref = workspace
    (raw,) = runs.list("sweep", ref)
    runs.save_draft(ref, PLAN)
    app = open_screen("tune", ref)
    button(app, "Sweep with the repair least-squares").click().run()
    newest = runs.list("sweep", ref)[0]
    asked = SweepRequest.from_json(dict(raw.request))
    assert SweepRequest.from_json(dict(newest.request)) == replace(asked, repair="least-squares")


def test_searches_and_anchors_pass_the_repair_on(repaired, open_screen, started):
    runs, ref = repaired
    runs.save_draft(ref, PLAN)
    app = open_screen("tune", ref)
    assert "Curves: each cut alone, repaired by least-squares" in texts(app)
    for label, kind in (("Sharpen the prediction", "anchors"), ("Find it", "minimise"), ("Refine it", "refine")):
        button(app, label).click().run()
        assert not app.exception
        (run,) = runs.list(kind, ref)
        assert run.request["repair"] == "least-squares"


def test_a_measured_plan_is_named_with_its_repair_and_was_predicted_by_repaired_cells(repaired, open_screen, started):
    runs, ref = repaired
    runs.save_draft(ref, PLAN)
    app = open_screen("tune", ref)
    button(app, "Measure this plan").click().run()
    (run,) = runs.list("measure", ref)
    assert run.request["plan"]["repair"] == "least-squares"
    table = plans_table(app)
    assert list(table["repair"]) == ["least-squares"]
    assert table["predicted"][0]


def test_a_kept_plan_is_predicted_by_what_is_known_of_its_own_repair(repaired, open_screen, started):
    runs, ref = repaired
    runs.save_draft(ref, replace(PLAN, repair=None))
    app = open_screen("tune", ref)
    measured(runs, ref, PLAN)
    app.run()
    assert list(plans_table(app)["repair"]) == ["least-squares"]
    assert not app.exception


def test_recover_refuses_the_repair_before_the_start_and_offers_the_cuts_without_it(trained, open_screen, started):
    runs, ref = trained
    layer = next(target.name for target in runs.description(ref)[0].weight_targets)
    runs.save_draft(ref, SparsityPlan((Cut(layer, "weight", 0.5),), repair="bias"))
    app = open_screen("recover", ref)
    assert "recovery trains from the dense weights, so the plan's repair, bias, would be lost" in texts(app)
    assert button(app, "Start").disabled
    next(one for one in app.button_group if one.label == "Cut").set_value("its cuts without the repair").run()
    assert not button(app, "Start").disabled
    button(app, "Start").click().run()
    (run,) = runs.list("recover", ref)
    assert "repair" not in run.request["plan"]


def test_deliver_names_the_repair_of_what_is_exported(workspace, open_screen, started):
    runs, ref = workspace
    measured(runs, ref, PLAN)
    runs.save_draft(ref, PLAN)
    app = open_screen("deliver", ref)
    assert "repaired by least-squares" in app.selectbox(key=f"plan-{ref}").value
    assert "least-squares: the weights that stay make up" in texts(app)
    button(app, "Export").click().run()
    (run,) = runs.list("export", ref)
    assert run.request["plan"]["repair"] == "least-squares"
