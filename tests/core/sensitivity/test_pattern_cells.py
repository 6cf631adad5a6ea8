"""Patterns in a sweep: their cells, their curves, and what cannot be."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn

from core import CellResult, Cut, Estimate, Examples, SecateurError, SweepRequest, Workload, cross_entropy, sweep
from core.jobs.runs import RunStore
from core.pruning.masks import MaskMaker
from core.sensitivity.cells import plan_cells
from core.sensitivity.measuring.cutting import Cutting
from core.sensitivity.preview import preview
from core.sensitivity.report import interpolated, largest_within
from core.sensitivity.search.scheduler import Search
from core.workload.discovery import find_targets
from core.workload.scale import Scale
from core.workspace import Workspace

SCORE = Scale("score", "points", higher_is_better=True, low=None, high=None)


@pytest.fixture
def mlp():
    """Two linear layers, of which only the first has a multiple of four inputs and is 4x4 tiles."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3)).eval()
        x = torch.randn(60, 8)
    labels = model(x).argmax(1)
    evaluation, calibration = Examples(x[:40], labels[:40]), Examples(x[40:], labels[40:])
    return Workload("mlp", model, evaluation, cross_entropy(), calibration, batch_size=20)


def request(**fields):
    return SweepRequest("m", **{"sparsities": (0.5, 0.9), "heads": False, **fields})


def cells_of(workload, **fields):
    return plan_cells(find_targets(workload.model)[0], request(**fields))


def test_n_of_m_is_one_cell_and_tiles_are_one_per_sparsity(mlp):
    cells = [cell for cell in cells_of(mlp, patterns=("2:4", "4x4")) if cell.cut.target == "0"]
    assert [(c.cut.granularity, c.cut.sparsity, c.n_removed, c.state) for c in cells] == [
        ("weight", 0.5, 48, "waiting"),
        ("weight", 0.9, 86, "waiting"),
        ("2:4", 0.5, 48, "waiting"),
        ("4x4", 0.5, 48, "waiting"),
        ("4x4", 0.9, 80, "waiting"),  # 5 of 6 tiles of 16
    ]


def test_a_pattern_that_a_layer_cannot_have_has_failed_before_anything_is_measured(mlp):
    cells = [cell for cell in cells_of(mlp, patterns=("2:4", "4x4")) if cell.cut.curve == "2 4x4"]
    assert [(cell.cut.sparsity, cell.state, cell.n_removed) for cell in cells] == [
        (0.5, "failed", 0),
        (0.9, "failed", 0),
    ]
    assert cells[0].reason == "2 is 3 x 12 as outputs x inputs, which tiles of 4x4 do not divide"


def test_a_sweep_of_patterns_alone_needs_no_sparsities(mlp):
    assert [cell.cut for cell in cells_of(mlp, sparsities=(), patterns=("2:4",))] == [Cut("0", "2:4"), Cut("2", "2:4")]


def test_patterns_may_be_swept_without_single_weights(mlp):
    cells = cells_of(mlp, weights=False, patterns=("2:4", "4x4"))
    assert {cell.cut.granularity for cell in cells} == {"2:4", "4x4"}


def test_channels_and_weights_of_one_name_have_answers_of_their_own(mlp, tmp_path):
    sweep(mlp, workspace=tmp_path, sparsities=(0.25, 0.5), patterns=("2:4",), channels=True, mode="tolerance",
          tolerance=0.2)  # fmt: skip
    (run,) = RunStore(Workspace(tmp_path)).list()
    assert set(run.result["answers"]) == {"0", "2", "0 2:4", "2 2:4", "channels of 0"}


@pytest.mark.parametrize(
    ("patterns", "mend"),
    [
        ("2:4", r"patterns must be several such as \('2:4', '4x4'\), got '2:4'"),
        (("weight",), "a pattern is N:M with"),
        ((0.5,), "a pattern is N:M with"),
    ],
)
def test_a_request_of_what_is_no_pattern_is_told_what_one_is(patterns, mend):
    with pytest.raises(SecateurError, match=mend):
        request(patterns=patterns)


def test_tiles_need_a_sparsity():
    with pytest.raises(SecateurError, match="a fraction of the tiles of 4x4 goes: give at least one sparsity"):
        request(sparsities=(), patterns=("2:4", "4x4"))


def test_a_request_keeps_patterns_distinct_and_survives_json_as_do_older_ones():
    asked = request(patterns=["4x4", "2:4", "4x4"])
    assert asked.patterns == ("4x4", "2:4")
    fields = json.loads(json.dumps(asdict(asked)))
    assert SweepRequest.from_json(fields) == asked
    del fields["patterns"]
    assert SweepRequest.from_json(fields).patterns == ()


@pytest.mark.parametrize("mode", ["exact", "race", "tolerance"])
def test_every_mode_measures_patterns_and_never_runs_what_is_impossible(mlp, tmp_path, mode, monkeypatch):
    run_cuts = []
    before = Cutting.cut

    def noted(self, plan, **how):
        run_cuts.append(plan.cuts)
        return before(self, plan, **how)

    monkeypatch.setattr(Cutting, "cut", noted)
    how = {} if mode == "exact" else {"mode": mode, "tolerance": 0.2}
    report = sweep(mlp, workspace=tmp_path, sparsities=(0.5, 0.9), patterns=("2:4", "4x4"), **how)
    assert all(cell.state in ("measured", "failed") for cell in report.cells)
    failed = {cell.cut for cell in report.cells if cell.state == "failed"}
    assert failed == {Cut("2", "4x4", 0.5), Cut("2", "4x4", 0.9)}
    assert failed.isdisjoint(cut for cuts in run_cuts for cut in cuts)
    (run,) = RunStore(Workspace(tmp_path)).list()
    assert run.done == run.total
    answers = {"exact": set()}.get(mode, {"0", "2", "0 2:4", "2 2:4", "0 4x4", "2 4x4"})
    assert set(run.result["answers"]) == answers
    if answers:
        assert run.result["answers"]["2 4x4"]["sparsity"] is None


def test_what_a_pattern_costs_is_what_the_model_with_its_mask_costs(mlp, tmp_path):
    cell = sweep(mlp, workspace=tmp_path, patterns=("2:4",), sparsities=(), heads=False).by_cut()[Cut("0", "2:4")]
    weight = mlp.model[0].weight.detach()
    groups = weight.abs().view(12, 2, 4)
    kept = groups >= groups.sort(-1).values[..., 2:3]
    x, labels = mlp.evaluation.inputs[0], mlp.evaluation.labels
    hidden = torch.relu(x @ (weight * kept.view(12, 8)).T + mlp.model[0].bias)
    loss = nn.functional.cross_entropy(mlp.model[2](hidden), labels).item()
    assert cell.metric.value == pytest.approx(loss, rel=1e-5)
    assert (cell.n_removed, cell.n_weights) == (48, 96)


def test_a_sweep_all_of_whose_patterns_are_impossible_ends_with_the_reasons(mlp, tmp_path):
    report = sweep(mlp, workspace=tmp_path, patterns=("1:32",), sparsities=(), heads=False)
    assert [cell.state for cell in report.cells] == ["failed", "failed"]
    assert "1:32 needs a multiple of 32 inputs, and 0 has 8" in report.cells[0].reason


def test_tiles_of_which_none_goes_have_no_effect_and_say_why(mlp, tmp_path):
    report = sweep(mlp, workspace=tmp_path, patterns=("4x4",), sparsities=(0.05,), heads=False)
    cell = report.by_cut()[Cut("0", "4x4", 0.05)]
    assert (cell.state, cell.n_removed) == ("no effect", 0)
    assert cell.reason == "0.05 of the 4x4 tiles of 96 weights is none"


def measured(granularity, sparsity, high, stage="full"):
    drop = Estimate(high, high, high, 100)
    return CellResult(Cut("fc", granularity, sparsity), 1, 10, "measured", drop, drop, stage=stage)


def test_the_limit_of_weights_is_not_that_of_tiles_of_the_same_name():
    cells = [measured("weight", 0.5, 0.0), measured("weight", 0.9, 0.0), measured("4x4", 0.5, 1.0),
             measured("2:4", 0.5, 0.0)]  # fmt: skip
    assert largest_within(cells, 0.1) == {"fc": 0.9}
    assert largest_within(cells, 0.1, "4x4") == {}
    assert largest_within(cells, 0.1, "2:4") == {"fc": 0.5}


def test_no_drop_is_interpolated_between_weights_and_tiles():
    early = measured("4x4", 0.5, 0.3, "early")
    settled = measured("weight", 0.2, 0.0), measured("weight", 0.9, 1.0)
    assert interpolated([early, *settled]) == {}
    assert interpolated([early, *settled, measured("4x4", 0.75, 0.9)]) == {early.cut: pytest.approx(0.6)}


def test_a_search_brackets_each_curve_of_a_layer_by_itself():
    grid = [Cut("fc", g, s) for g in ("weight", "4x4") for s in (0.3, 0.6, 0.9)] + [Cut("fc", "2:4")]
    drops = [0.0, 0.0, 0.4, 0.0, 0.4, 0.5, 0.0]
    search = Search("tolerance", [CellResult(cut, 1, 2) for cut in grid], SCORE, [10, 90], tolerance=0.1)
    dense = np.random.default_rng(0).normal(size=100)
    for part in (dense[:10], dense[10:]):
        search.tell_dense(part)
    while asked := search.next():
        batch, positions = asked
        part = (dense[:10], dense[10:])[batch]
        for p in positions:
            search.tell(p, batch, part - drops[p], True)
    assert {curve: answer.sparsity for curve, answer in search.answers().items()} == {
        "fc": 0.6,
        "fc 4x4": 0.3,
        "fc 2:4": 0.5,
    }


def test_the_preview_of_a_pattern_is_the_square_of_what_its_mask_removes(mlp):
    """One batch, one estimate: half of (Σ over removed G·w)² / n, with the mask's own entries."""
    few = replace(mlp, calibration=mlp.calibration.first(10))
    maker = MaskMaker(few.model, find_targets(few.model)[0])
    cuts = [Cut("0", "2:4"), Cut("0", "4x4", 0.5), Cut("0", "4x4", 0.9), Cut("0", "weight", 0.5)]
    found = preview(few, maker, cuts)
    x, labels = few.calibration.inputs[0], few.calibration.labels
    weight = few.model[0].weight
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(few.model(x), labels, reduction="sum"), [weight])
    values = {}
    for cut in cuts:
        (mask,) = maker.masks_of(cut).values()
        values[cut] = 0.5 / 10 * float((gradient * weight.detach())[~mask].double().sum() ** 2)
    values[cuts[2]] = max(values[cuts[1]], values[cuts[2]])  # harm is not undone by cutting more
    assert found.estimates == {cut: pytest.approx(value, rel=1e-3) for cut, value in values.items()}


def test_a_sweep_with_impossible_patterns_still_has_its_estimates(mlp, tmp_path):
    report = sweep(mlp, workspace=tmp_path, patterns=("4x4",), sparsities=(0.5,), heads=False)
    assert report.no_preview is None
    assert {cell.cut for cell in report.cells if cell.estimate is None} == {Cut("2", "4x4", 0.5)}
