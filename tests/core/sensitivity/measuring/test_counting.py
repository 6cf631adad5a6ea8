"""A sweep by census: the same answers and the same evidence as one at random, and evidence is shared both ways."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from core import Examples, SecateurError, SweepRequest, Workload, accuracy, cosine_to_dense, sweep
from core.jobs.runs import RunStore
from core.sensitivity.cells import plan_cells
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.measuring.counting import counted_first
from core.sensitivity.measuring.gathering import Gathering
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.scoring import CellScoring
from core.sensitivity.measuring.stopping import Cancelled, never_stop
from core.sensitivity.search.calibrated import Forecasts
from core.sensitivity.slices import slice_drops
from core.sensitivity.sweep import Sweep
from core.sensitivity.sweep_words import cell_text, stage_text
from core.workspace import Workspace
from tests import tiny_models

ASKED = {"sparsities": (0.1, 0.3, 0.5, 0.8), "preview": False, "tolerance": 0.04}


@pytest.fixture
def counted() -> Workload:
    """400 images, 20 a batch, on nine of ten of which the model is right."""
    examples = tiny_models.random_examples((1, 8, 8), 3, 400)
    model = tiny_models.seeded(tiny_models.ConvNet)
    with torch.no_grad():
        labels = model.eval()(*examples.inputs).argmax(1)
    labels[::10] = (labels[::10] + 1) % 3
    return Workload("counted", model, Examples(examples.inputs, labels), accuracy(), batch_size=20, holdout=None)


@pytest.fixture
def n_measured(monkeypatch):
    """Cells that were measured on a batch."""
    found = []
    measure = CellScoring.found
    monkeypatch.setattr(CellScoring, "found", lambda self, *a, **k: found.append(1) or measure(self, *a, **k))
    return found


def answers(workspace):
    runs = RunStore(Workspace(workspace)).list()
    return [{name: one["sparsity"] for name, one in run.result["answers"].items()} for run in runs]


def evidence(workspace):
    with Workspace(workspace).connect() as db:
        return {(row["cell"], row["batch"]): bytes(row["scores"]) for row in db.execute("SELECT * FROM evidence")}


def test_the_margins_are_those_of_the_dense_model_and_a_run_that_goes_on_reads_them(counted, tmp_path):
    store = EvidenceStore(Workspace(tmp_path))
    with Measurement(counted, store) as measurement:
        margins = measurement.margins()
        positions = torch.cat(measurement.batches.positions)
        first = counted_first(measurement, race=False)
        census, dense = first.census, first.dense
        order = torch.cat(measurement.batches.positions)
    with torch.no_grad():
        logits = counted.model.eval()(*counted.evaluation.take(positions).inputs)
        labels = counted.evaluation.labels[positions]
        others = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
        assert np.allclose(margins, (logits.gather(1, labels[:, None])[:, 0] - others).abs(), atol=1e-5)
    assert dense.n == len(order) == len(census.right)
    assert sorted(order.tolist()) == sorted(positions.tolist())
    of = dict(zip(positions.tolist(), margins.tolist(), strict=True))
    ours = np.array([of[one] for one in order.tolist()])
    right = census.right
    assert ours[~census.likely].min() >= ours[census.likely & right].max()
    with Measurement(counted, store) as again:
        again.run = None  # nothing is measured
        assert counted_first(again, race=False).census.likely.tolist() == census.likely.tolist()
        assert torch.equal(torch.cat(again.batches.positions), order)


def test_margins_on_disk_are_never_read_as_losses(counted, tmp_path):
    store = EvidenceStore(Workspace(tmp_path), counted.metric.loss_fingerprint())
    with Measurement(counted, store) as measurement:
        measurement.dense()
        losses = [measurement.dense_losses(i) for i in range(len(measurement.batches))]
        assert measurement.margins() is not None
    with Measurement(counted, EvidenceStore(Workspace(tmp_path), counted.metric.loss_fingerprint())) as again:
        assert again.margins() is not None
        for i, before in enumerate(losses):
            now = again.dense_losses(i)
            assert now is None or np.array_equal(now, before)


@pytest.mark.parametrize("mode", ["tolerance", "race"])
def test_answers_as_a_random_order_does_and_exactly_as_an_exact_sweep(counted, tmp_path, mode):
    reports = {
        rule: sweep(counted, workspace=tmp_path / rule, mode=mode, rule=rule, **ASKED)
        for rule in ("census", "sampling")
    }
    exact = sweep(counted, workspace=tmp_path / "exact", sparsities=ASKED["sparsities"], preview=False).by_cut()
    assert answers(tmp_path / "census") == answers(tmp_path / "sampling")
    (run,) = RunStore(Workspace(tmp_path / "census")).list()
    assert run.result["n_random"]
    assert reports["census"].dense.n == 400
    for cell in reports["census"].cells:
        of_all = exact[cell.cut]
        if cell.verdict is not None:
            assert (cell.verdict == "within") == (of_all.drop.high <= 0.04)
        if cell.stage == "full":
            assert (cell.drop, cell.metric) == (of_all.drop, of_all.metric)
        elif cell.drop is not None:
            assert cell.drop.low <= of_all.drop.value <= cell.drop.high
            assert cell.loss is None or cell.loss.low - 0.05 <= of_all.loss.value <= cell.loss.high + 0.05


def searched(workload, workspace, check=never_stop):
    """Answers of a search in this process."""
    asked = SweepRequest(workload.name, mode="tolerance", **ASKED)
    with Measurement(workload, EvidenceStore(Workspace(workspace)), "all", check=check) as measurement:
        search = Sweep(measurement, plan_cells(measurement.targets, asked), asked, lambda news: None)
        search.run()
        return search.answers()


@pytest.mark.parametrize("stop", [3, 30, 80])
def test_a_search_that_was_stopped_goes_on_to_the_same_answers_and_evidence(counted, tmp_path, stop):
    calls = []

    def check():
        calls.append(1)
        if len(calls) == stop:
            raise Cancelled

    whole = searched(counted, tmp_path / "whole")
    with pytest.raises(Cancelled):
        searched(counted, tmp_path / "parts", check)
    assert searched(counted, tmp_path / "parts") == whole
    assert evidence(tmp_path / "parts") == evidence(tmp_path / "whole")


def test_what_an_exact_sweep_measured_is_not_measured_again_nor_the_other_way_round(counted, tmp_path, n_measured):
    exact = sweep(counted, workspace=tmp_path / "a", sparsities=ASKED["sparsities"], preview=False)
    total = len(n_measured)
    n_measured.clear()
    sweep(counted, workspace=tmp_path / "a", mode="tolerance", **ASKED)
    assert not n_measured
    sweep(counted, workspace=tmp_path / "b", mode="tolerance", **ASKED)
    spent = len(n_measured)
    n_measured.clear()
    after = sweep(counted, workspace=tmp_path / "b", sparsities=ASKED["sparsities"], preview=False)
    assert 0 < spent < total
    assert len(n_measured) < total - spent / 3  # whole batches alone are spared
    assert [(c.drop, c.metric, c.loss, c.state) for c in after.cells] == [
        (c.drop, c.metric, c.loss, c.state) for c in exact.cells
    ]
    assert answers(tmp_path / "a")[0] == answers(tmp_path / "b")[1]


class OfTheBatch(nn.Module):
    """Its last bits hang on how many examples there are."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) * (1 + 1e-6 * (len(x) % 20))


def test_where_bits_hang_on_the_batch_nothing_is_gathered(counted, tmp_path, n_measured):
    fickle = replace(counted, model=OfTheBatch(counted.model))
    with Measurement(fickle, EvidenceStore(Workspace(tmp_path)), 100) as measurement:
        measurement.dense()
        keys, positions = list(measurement.batches.keys), measurement.batches.positions
        measurement.regroup(np.arange(100)[::-1].copy(), [30, 30, 40])
        gathering = measurement._gathering()
        assert not gathering._compare(gathering._dense, positions[2], 30)
        assert gathering.gathered(gathering._of_dense, gathering._dense) == {}
        assert keys[0] in gathering._of_dense
    with Measurement(counted, EvidenceStore(Workspace(tmp_path)), 100) as measurement:
        measurement.dense()
        measurement.regroup(np.arange(100)[::-1].copy(), [30, 30, 40])
        gathering = measurement._gathering()
        found = gathering.gathered(gathering._of_dense, gathering._dense)
        assert {0, 1} <= set(found)  # the third holds rows of a batch of four, whose sums some machines order otherwise
        for i, one in found.items():
            at = measurement.batches.positions[i]
            with torch.no_grad():
                hits = counted.model.eval()(*counted.evaluation.take(at).inputs).argmax(1)
            assert one.scores.tolist() == (hits == counted.evaluation.labels[at]).float().tolist()
            assert not one.changed


def test_batches_that_are_not_what_they_say_are_not_gathered_from(counted, tmp_path):
    store = EvidenceStore(Workspace(tmp_path))
    with Measurement(counted, store, 100) as measurement:
        measurement.dense()
        key = measurement.batches.keys[1]
        store.add_batch(key, list(range(len(measurement.batches.positions[1]))), {})  # others than they are
        measurement.regroup(np.arange(100)[::-1].copy(), [50, 50])
        gathering: Gathering = measurement._gathering()
        gathering.gathered(gathering._of_dense, gathering._dense)
        assert gathering._positions[key] is None
        assert sum(positions is not None for positions in gathering._positions.values()) == 5


def test_slices_of_a_cell_that_was_stopped_are_of_what_was_read_at_random(counted, tmp_path):
    classes = tuple(counted.evaluation.labels.tolist())
    named = replace(counted, columns={"kind": classes})
    report = sweep(named, workspace=tmp_path, mode="tolerance", **ASKED)
    (run,) = RunStore(Workspace(tmp_path)).list()
    store = EvidenceStore(Workspace(tmp_path))
    decided = [cell for cell in report.cells if cell.stage == "decided"]
    assert decided
    sizes = [len(one.positions) for one in store.read_batches(run.result["batches"][: run.result["n_random"]]).values()]
    for cell in decided:
        found = slice_drops(store, run.result, cell.evidence, "kind", cell.drop.n)
        assert sum(one.n for one in found) <= sum(sizes)


def test_a_request_of_a_time_without_rules_goes_on_at_random():
    fields = {"workload": "m", "mode": "tolerance", "sparsities": [0.5]}
    assert SweepRequest.from_json(fields).rule == "sampling"
    assert SweepRequest("m", mode="tolerance").rule == "census"
    assert SweepRequest.from_json({**fields, "mode": "exact"}).rule == "census"
    with pytest.raises(SecateurError, match="rule must be one of census, calibrated, sampling; got 'all'"):
        SweepRequest("m", mode="race", rule="all")
    with pytest.raises(SecateurError, match="rule is which examples a race or a tolerance search reads"):
        SweepRequest("m", rule="sampling")
    with pytest.raises(SecateurError, match="rule 'calibrated' forecasts on which side of a drop a cell lies"):
        SweepRequest("m", mode="race", rule="calibrated", width=0.1)


@pytest.mark.parametrize("mode", ["tolerance", "race"])
def test_a_sweep_by_forecasts_says_so_of_every_cell_and_goes_on_after_a_stop_to_the_same_answer(
    counted, tmp_path, mode
):
    asked = {"mode": mode, "rule": "calibrated", **ASKED}
    report = sweep(counted, workspace=tmp_path / "whole", **asked)
    exact = sweep(counted, workspace=tmp_path / "exact", sparsities=ASKED["sparsities"], preview=False).by_cut()
    stages = {cell.stage for cell in report.cells}
    assert "forecast" in stages
    assert "decided" not in stages
    right = [(c.verdict == "within") == (exact[c.cut].drop.high <= 0.04) for c in report.cells if c.verdict]
    assert sum(right) >= 0.9 * len(right)
    for cell in report.cells:
        if cell.stage == "forecast":
            assert cell.drop.n < 400
            assert "forecast after" in stage_text(report.scale, cell, 400)
            assert cell_text(report.scale, cell).startswith("≈")
    (run,) = RunStore(Workspace(tmp_path / "whole")).list()
    assert any("drawn at random" in note and "forecast" in note for note in run.result["notes"])
    assert any(answer["forecast"] for answer in run.result["answers"].values())
    # half of the evidence is there already: the same questions are asked, and the same answers given
    shutil.copytree(tmp_path / "whole", tmp_path / "half")
    with Workspace(tmp_path / "half").write() as db:
        db.execute("DELETE FROM evidence_rows WHERE cell IN (SELECT id FROM keys WHERE key < '8')")
    again = sweep(counted, workspace=tmp_path / "half", **asked)
    assert [(c.drop, c.stage, c.verdict) for c in again.cells] == [(c.drop, c.stage, c.verdict) for c in report.cells]


def test_a_metric_without_margins_is_read_at_random_and_says_that_nothing_was_forecast(counted, tmp_path):
    given = replace(counted, name="near", metric=cosine_to_dense())
    sweep(given, workspace=tmp_path, mode="race", rule="calibrated", **ASKED)
    (run,) = RunStore(Workspace(tmp_path)).list()
    assert any(note.startswith("Nothing was forecast") for note in run.result["notes"])


@pytest.mark.parametrize("after", [8, 14])
def test_once_forecasts_are_given_up_no_cell_is_shown_by_one(counted, tmp_path, monkeypatch, after):
    monkeypatch.setattr(Forecasts, "hold", property(lambda self: self._n_verdicts < after))
    asked = SweepRequest("counted", mode="tolerance", rule="calibrated", **ASKED)
    shown, n_foreseen = {}, []

    def on_news(news):
        shown.update(news.cells)
        n_foreseen.append((found._search.is_forecasting, sum(cell.foreseen for cell in shown.values())))

    with Measurement(counted, EvidenceStore(Workspace(tmp_path))) as measurement:
        found = Sweep(measurement, plan_cells(measurement.targets, asked), asked, on_news)
        found.run()
    assert any(n for forecasting, n in n_foreseen if forecasting) or after < len(shown)
    assert not any(n for forecasting, n in n_foreseen if not forecasting)
    assert not found._search.is_forecasting
    assert "given up" in found.notes()[0]


def test_where_no_cell_hangs_on_a_forecast_the_run_says_so(counted, tmp_path):
    few = replace(counted, evaluation=counted.evaluation.take(range(61)), batch_size=2)
    report = sweep(few, workspace=tmp_path, mode="race", rule="calibrated", **ASKED)
    assert {cell.stage for cell in report.cells} == {"full"}
    (run,) = RunStore(Workspace(tmp_path)).list()
    assert "No cell was decided by a forecast: what is decided was read whole." in run.result["notes"]
