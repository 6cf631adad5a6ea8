"""Repaired cells: replayed with the bits of full passes, under keys of their own, and the dense model stays."""

import json

import pytest
import torch
from torch import nn

from core.errors import SecateurError
from core.plans.plan import Cut, SparsityPlan
from core.plans.prediction import Link, Predictor
from core.pruning.wearing import pruned_copy
from core.sensitivity.measuring.measurement import Measurement
from core.workload.examples import Examples
from core.workload.metrics.dense_metrics import agreement
from core.workload.scale import Scale
from core.workload.workload import Workload

pytestmark = pytest.mark.model


def normed(calibrated: bool = True) -> Workload:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 3),
    )  # fmt: skip
    with torch.no_grad():
        for _ in range(20):
            model(torch.randn(16, 1, 4, 4) + 1)
    x = torch.randn(72, 1, 4, 4) + 1
    calibration = Examples(x[40:]) if calibrated else None
    return Workload("normed", model.eval(), Examples(x[:40]), agreement(), calibration=calibration, batch_size=10)


@pytest.mark.parametrize("repair", ["bias", "least-squares", "batchnorm", "full"])
def test_replay_gives_the_bits_of_full_passes_and_the_model_stays(repair: str) -> None:
    workload = normed()
    before = {name: tensor.clone() for name, tensor in workload.model.state_dict().items()}
    cuts = [Cut("0", "channel", 0.5), Cut("3", "weight", 0.5), Cut("0", "weight", 0.3)]
    plans = [SparsityPlan((cut,), repair=repair) for cut in cuts]
    found = {}
    for replayed in (False, True):
        with Measurement(workload, None, threads=2) as measurement:
            assert measurement.cutting.prepare_cuts(cuts, repair) == {}
            if replayed:
                measurement.replay()
            work = [(i, list(enumerate(plans))) for i in range(len(measurement.batches))]
            found[replayed] = {(i, p): evidence.scores.tolist() for i, p, evidence in measurement.run(work)}  # type: ignore[union-attr]
            if replayed:
                assert measurement.full_passes() == ()
    assert found[True] == found[False]
    assert all(torch.equal(tensor, before[name]) for name, tensor in workload.model.state_dict().items())


def test_what_is_measured_is_what_the_repaired_model_says() -> None:
    workload, plan = normed(), SparsityPlan((Cut("0", "channel", 0.5), Cut("3", "weight", 0.5)), repair="full")
    with Measurement(workload, None) as measurement:
        measured = measurement.measure(plan)
        repaired = pruned_copy(workload.model, measurement.maker.cut_tensors(plan))
    x = workload.evaluation.inputs[0]
    with torch.no_grad():
        same = (repaired(x).argmax(1) == workload.model(x).argmax(1)).float().mean().item()
    assert measured.metric is not None
    assert measured.metric.value == pytest.approx(same)


def test_evidence_of_a_repair_has_keys_of_its_own() -> None:
    cut = Cut("3", "weight", 0.5)
    with Measurement(normed(), None) as measurement:
        keys = {measurement.cell_key(SparsityPlan((cut,), repair=repair)) for repair in (None, "bias", "full")}
        assert len(keys) == 3
        assert measurement.cell_key(SparsityPlan((), repair="full")) == measurement.dense_key


def test_a_plan_without_a_repair_is_written_as_ever_and_one_with_it_comes_back() -> None:
    raw, repaired = (SparsityPlan((Cut("3", "weight", 0.5),), repair=repair) for repair in (None, "full"))
    assert set(raw.to_document()) == {"format", "version", "workload", "cuts"}
    assert raw.to_document()["version"] == 1
    assert SparsityPlan.from_json(repaired.to_json()) == repaired != raw
    assert raw.fingerprint() != repaired.fingerprint()
    assert repaired.with_cut(Cut("0", "weight", 0.1)).repair == "full"
    older = json.loads(repaired.to_json()) | {"version": 1}
    with pytest.raises(SecateurError, match="a plan with a repair is of version 2"):
        SparsityPlan.from_document(older)


def test_what_raw_cuts_cost_predicts_no_repaired_plan() -> None:
    link = Link((0.0, 1.0), (0.9, 0.5), (0.9, 0.4), (0.9, 0.6))
    scale = Scale("accuracy", "fraction", True, 0.0, 1.0)
    predictor = Predictor(scale, 0.9, 100, "metric", {}, link)
    assert predictor.fits(SparsityPlan((), repair="full"))
    with pytest.raises(SecateurError, match="what raw cuts cost says nothing of a plan that is repaired by full"):
        predictor.predict(SparsityPlan((Cut("3", "weight", 0.5),), repair="full"))
    document = Predictor(scale, 0.9, 1, "metric", {}, link, repair="bias").to_json()
    assert Predictor.from_json(json.loads(json.dumps(document))).repair == "bias"
