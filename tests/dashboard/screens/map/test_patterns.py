"""Patterns on the screens: beside the weights, and mixed up with none of them."""

from core import Cut, SparsityPlan, sweep
from core.plans.foreign import foreign_cuts
from core.sensitivity.maps.layout import sparsity_grid
from core.sensitivity.report import largest_within
from core.workload.target import Target
from dashboard.figures.curves import curves_by_target
from tests.dashboard.conftest import let_go, map_of, tuner_of
from tests.dashboard.test_screens import texts


class Found:
    """Two layers of 64 weights."""

    targets = tuple(Target(n, "weight", "Linear", f"{n}.weight", (8, 8), 64) for n in ("a", "b"))
    is_whole = True


def test_a_sweep_of_patterns_shows_them_beside_the_weights_and_leaves_the_limits_alone(workspace, open_screen):
    runs, ref = workspace
    report = sweep(ref, sparsities=(0.25, 0.9), patterns=("2:4", "4x4"), mode="tolerance",
                   workspace=runs.workspace.folder)  # fmt: skip
    weights = [cell for cell in report.cells if cell.cut.granularity == "weight"]
    assert len(report.cells) > len(weights) > 0
    grid = sparsity_grid(report.cells)
    assert grid.columns == ("25 %", "90 %", "", "2:4", "", "25 %", "90 %")
    assert grid.headings == (("weights", 0.5), ("N:M", 3.0), ("tiles of 4x4", 5.5))
    assert grid.rows == sparsity_grid(weights).rows
    assert sparsity_grid(report.cells, ("weight",)) == sparsity_grid(weights)
    curves = curves_by_target(report.cells)
    assert curves["layer.linear1"] == curves_by_target(weights)["layer.linear1"]
    assert not [name for name in curves if "2:4" in name]  # one sparsity makes no curve
    assert largest_within(report.cells, 0.1) == largest_within(weights, 0.1)
    app = open_screen("map", ref)
    assert not app.exception
    answers = next(frame.value for frame in app.dataframe if "most" in frame.value)
    assert {"layer.linear1", "layer.linear1 2:4", "layer.linear1 4x4"} <= set(answers["layer"])


def test_a_click_on_a_pattern_shows_it_and_cut_here_puts_it_into_the_plan(workspace, open_screen):
    runs, ref = workspace
    sweep(ref, sparsities=(0.25,), patterns=("2:4",), workspace=runs.workspace.folder)
    app = open_screen("map", ref)
    assert map_of(app, "every layer")["columns"] == ["25 %", "", "2:4"]
    app.session_state["map-weights"] = {"hit": {"row": 2, "column": 2, "curve": 0, "x": 2, "y": 2}}
    app.run()
    assert not app.exception
    assert "**layer.linear1**, cut to 2:4: 64 of 128 weights" in texts(app)
    app.button(key="cut-here").click().run()
    assert [(cut.target, cut.granularity) for cut in runs.draft(ref).cuts] == [("layer.linear1", "2:4")]


def test_a_draft_with_patterns_stays_as_it_is_on_the_tune_screen_until_one_is_taken_out(workspace, open_screen):
    runs, ref = workspace
    plan = SparsityPlan((Cut("layer.linear1", "2:4"), Cut("layer.linear2", "4x4", 0.5)), ref)
    runs.save_draft(ref, plan)
    app = open_screen("tune", ref)
    assert not app.exception
    assert runs.draft(ref) == plan
    tuner = tuner_of(app)
    assert tuner["left"]["nonzeros"]["left"] == 192 + 64 + 128 + 128 + 24 + 16 - 64 - 64
    (cut,) = tuner["rows"]["weight layer.linear1"]["patterns"]
    assert (cut["text"], cut["harm"]) == ("2:4", None)  # no sweep has measured it
    let_go(app, ref, {"number": 1, "changes": {cut["key"]: 0}})
    assert runs.draft(ref).cuts == plan.cuts[1:]


def test_a_pattern_of_a_known_layer_is_no_cut_of_another_model():
    assert foreign_cuts(SparsityPlan((Cut("a", "2:4"), Cut("c", "2:4"))), Found) == [Cut("c", "2:4")]
