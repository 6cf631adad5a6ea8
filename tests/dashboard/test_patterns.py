"""Patterns among what the screens show: they have no map yet, and are mixed up with no weights."""

from core import Cut, SparsityPlan, sweep
from core.sensitivity.report import largest_within
from core.workload.target import Target
from dashboard.figures.curves import curves_by_target
from dashboard.figures.heatmap import sparsity_grid
from dashboard.plan_editor import totals, unknown_cuts
from tests.dashboard.test_screens import texts


class Found:
    """Two layers of 64 weights."""

    targets = weight_targets = tuple(Target(n, "weight", "Linear", f"{n}.weight", (8, 8), 64) for n in ("a", "b"))
    head_targets = ()


def test_a_sweep_of_patterns_leaves_maps_curves_and_limits_to_the_weights(workspace, open_screen):
    runs, ref = workspace
    report = sweep(ref, sparsities=(0.25, 0.9), patterns=("2:4", "4x4"), mode="tolerance",
                   workspace=runs.workspace.folder)  # fmt: skip
    weights = [cell for cell in report.cells if cell.cut.granularity == "weight"]
    assert len(report.cells) > len(weights) > 0
    assert sparsity_grid(report.cells) == sparsity_grid(weights)
    assert curves_by_target(report.cells) == curves_by_target(weights)
    assert largest_within(report.cells, 0.1) == largest_within(weights, 0.1)
    app = open_screen("map", ref)
    assert not app.exception
    answers = next(frame.value for frame in app.dataframe if "most" in frame.value)
    assert {"layer.linear1", "layer.linear1 2:4", "layer.linear1 4x4"} <= set(answers["layer"])
    assert "2:4" not in texts(app)


def test_a_draft_with_patterns_stays_as_it_is_on_the_tune_screen(workspace, open_screen):
    runs, ref = workspace
    plan = SparsityPlan((Cut("layer.linear1", "2:4"), Cut("layer.linear2", "4x4", 0.5)), ref)
    runs.save_draft(ref, plan)
    app = open_screen("tune", ref)
    assert not app.exception
    assert runs.draft(ref) == plan
    removed = next(metric for metric in app.metric if metric.label == "weights left")
    assert removed.value == f"{192 + 64 + 128 + 128 + 24 + 16 - 64 - 64:,}"


def test_the_totals_count_patterns_and_say_when_they_are_not_exact():
    assert totals(SparsityPlan((Cut("a", "2:4"), Cut("b", "4x4", 0.25))), Found) == (32 + 16, 128, True)
    assert totals(SparsityPlan((Cut("a", "2:4"), Cut("a", "weight", 0.5))), Found) == (48, 128, False)


def test_a_pattern_of_a_known_layer_is_no_cut_of_another_model():
    assert unknown_cuts(SparsityPlan((Cut("a", "2:4"), Cut("c", "2:4"))), Found) == ["c"]
