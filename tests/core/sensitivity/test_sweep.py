"""What a sweep does with what is asked of it, and with what is known already."""

import math
from dataclasses import replace

import pytest
import torch

from core import Examples, SecateurError, SweepRequest, accuracy, spearman, sweep, top_k
from core.jobs.runs import RunStore
from core.jobs.worker import execute
from core.workspace import Workspace

QUICK = {"sparsities": (0.2, 0.5, 0.8), "preview": False}


def test_a_tolerance_of_more_than_everything_is_refused_with_what_was_meant(conv, tmp_path):
    with pytest.raises(SecateurError, match=r"tolerance of 2 is all of the accuracy and more: .* 0\.01 is one point"):
        sweep(replace(conv, metric=accuracy()), workspace=tmp_path, mode="tolerance", tolerance=2, **QUICK)


def test_a_width_is_for_a_race():
    with pytest.raises(SecateurError, match="width is when a race stops"):
        SweepRequest("m", mode="tolerance", width=0.1)


def test_what_an_exact_sweep_measured_is_shown_in_full_by_a_search_that_did_not_need_it(conv, tmp_path):
    exact = sweep(conv, workspace=tmp_path, **QUICK).by_cut()
    for cell in sweep(conv, workspace=tmp_path, mode="tolerance", tolerance=0.05, **QUICK).cells:
        assert cell.stage in ("full", "decided")
        if cell.stage == "full":
            assert (cell.metric, cell.drop) == (exact[cell.cut].metric, exact[cell.cut].drop)


def test_a_race_with_a_width_alone_decides_nothing(conv, tmp_path):
    cells = sweep(conv, workspace=tmp_path, mode="race", width=0.9, **QUICK).cells
    assert {cell.verdict for cell in cells} == {None}
    assert any(cell.stage == "decided" and cell.drop.high - cell.drop.low <= 0.9 for cell in cells)


def test_a_dry_run_tells_the_cost_and_answers_nothing(conv, tmp_path):
    sweep(conv, workspace=tmp_path, mode="tolerance", dry_run=True, **QUICK)
    (run,) = RunStore(Workspace(tmp_path)).list()
    assert run.result["cost"]["n_cells"] == len(RunStore(Workspace(tmp_path)).report(run).cells)
    assert run.result["cost"]["seconds"] > 0
    assert "answers" not in run.result


def test_a_run_that_goes_on_shows_what_it_showed_before(conv, tmp_path, monkeypatch):
    runs = RunStore(Workspace(tmp_path))
    sweep(conv, workspace=tmp_path, **QUICK)
    (run,) = runs.list()
    before = runs.report(run).cells
    runs.update(run.id, state="cancelled")
    monkeypatch.setattr("core.sensitivity.sweep.Sweep.run", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        execute(runs, runs.requeue(run.id).id, conv)
    assert runs.report(runs.get(run.id)).cells == before


def test_scores_of_logits_that_are_nan_are_nan_for_every_metric_of_hits():
    outputs, labels = torch.tensor([[math.nan, math.nan], [0.0, 1.0]]), torch.tensor([0, 1])
    for metric in (accuracy(), top_k(1)):
        assert metric.score_batch(outputs, labels).isnan().tolist() == [True, False]


@pytest.mark.parametrize("mode", ["exact", "race", "tolerance"])
def test_a_cut_that_leaves_a_set_metric_undefined_fails_alone(hand, tmp_path, mode):
    class Number(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(2, 1, bias=False)
            with torch.no_grad():
                self.fc.weight.copy_(torch.tensor([[1.0, 2.0]]))

        def forward(self, x):
            return torch.where(self.fc.weight.abs().sum() > 2.5, self.fc(x).squeeze(1), torch.zeros(len(x)))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = torch.rand(40, 2)
    workload = replace(
        hand, name="n", model=Number(), evaluation=Examples(x, x.sum(1)), metric=spearman(), batch_size=10
    )
    (cell,) = sweep(workload, workspace=tmp_path, sparsities=(0.5,), mode=mode, tolerance=0.05, preview=False).cells
    assert cell.state == "failed"
    assert cell.drop is None


def test_full_passes_are_told_of_also_where_every_target_had_been_tried_before(attentive, tmp_path):
    class Branching(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x) if x.sum() < 1e9 else x

    workload = replace(attentive, model=Branching(attentive.model), batch_size=5)
    few = len(attentive.evaluation) // 2
    for samples in (few, "all"):
        sweep(workload, workspace=tmp_path, samples=samples, replay=True, **QUICK)
    runs = RunStore(Workspace(tmp_path)).list()
    assert len(runs) == 2
    assert all(run.result["full_passes"] for run in runs)
