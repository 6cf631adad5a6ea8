"""A card sets the dense model, the same cut without training, the recovered and the quantized one side by side."""

import copy

import pytest
import torch

from core import Cut, FineTuning, SparsityPlan, recovered, shrunk
from core.delivery.bundles import bundle as bundle_module
from core.delivery.bundles.bundle import write_bundle
from core.delivery.card.facts import card_of
from core.delivery.card.models import untrained
from core.plans.schedules import Schedule
from core.recovery.request import RecoverRequest
from core.recovery.rounds import Recovery
from core.sensitivity.measuring.measurement import Measurement

pytestmark = pytest.mark.process

HALF = SparsityPlan((Cut("fc1", "channel", 0.5),))
HOW = FineTuning(steps=8, batch_size=32, rate=5e-3)
QUANTIZED = ("int8", "onnx-int8")


@pytest.fixture(autouse=True)
def _without_a_fresh_process(monkeypatch):
    """It would load a workload file, and these are in memory."""
    monkeypatch.setattr(bundle_module, "_verify_in_fresh_process", lambda *_: None)


def round_of(workload, folder, final=0.6):
    asked = RecoverRequest("learner.py", Schedule("linear", 0.0, final, 2), HOW)
    with Measurement(workload, None, "all") as measurement:
        Recovery(measurement, asked, folder).run()
    return recovered(workload, sorted(folder.glob("round-*.safetensors"))[-1])


def manifest_of(workload, folder, plan, form="masked", formats=(), seconds=0.0):
    with Measurement(workload, None, "all") as measurement:
        return write_bundle("learner.py", measurement, plan, folder, form=form, formats=formats, timing_seconds=seconds)


def accuracy_of(workload, model):
    with torch.inference_mode():
        (inputs,), labels = workload.evaluation.inputs, workload.evaluation.labels
        return float((model(inputs).argmax(1) == labels).double().mean())


def test_a_recovered_model_stands_beside_the_dense_one_and_the_same_cut_without_training(learner, tmp_path):
    after = round_of(learner, tmp_path / "rounds")
    manifest = manifest_of(after, tmp_path / "out", SparsityPlan(), formats=QUANTIZED)
    rows = {row["name"]: row for row in manifest["variants"]}
    assert list(rows) == ["dense", "pruned, not trained", "recovered", *QUANTIZED]
    dense = accuracy_of(learner, learner.model)
    for name, model in (
        ("dense", learner.model),
        ("pruned, not trained", untrained(after)),
        ("recovered", after.model),
    ):
        assert rows[name]["metric"]["value"] == pytest.approx(accuracy_of(learner, model))
        assert rows[name]["metric"]["n"] == len(learner.evaluation)
        if name != "dense":
            assert rows[name]["drop"]["value"] == pytest.approx(dense - accuracy_of(learner, model))
    assert rows["dense"]["drop"] is None
    assert rows["pruned, not trained"]["nonzeros"] == rows["recovered"]["nonzeros"] < rows["dense"]["nonzeros"]
    assert rows["onnx-int8"]["parameters"] is None
    assert rows["int8"]["bytes"] == manifest["files"]["model.int8.safetensors"]["bytes"]
    assert manifest["times"] is None
    card = card_of(manifest, SparsityPlan())
    assert "pruned and trained in rounds" in card.summary[0]
    assert any("paired with the dense model" in line for line in card.summary)


def test_the_same_cut_without_training_has_dense_weights_wherever_the_recovered_one_is_not_zero(learner, tmp_path):
    after = round_of(learner, tmp_path / "rounds")
    before = copy.deepcopy(learner.model.state_dict())
    cut, trained = dict(untrained(after).named_parameters()), dict(after.model.named_parameters())
    for name, parameter in learner.model.named_parameters():
        assert torch.equal(cut[name], torch.where(trained[name] == 0, 0.0, parameter))
    assert all(torch.equal(before[name], tensor) for name, tensor in learner.model.state_dict().items())


def test_of_a_shrunk_model_that_was_recovered_it_is_the_shrunk_one(learner, tmp_path):
    manifest_of(learner, tmp_path / "small", HALF, "shrunk")
    small = shrunk(learner, tmp_path / "small")
    after = round_of(small, tmp_path / "rounds", final=0.0)
    again = dict(untrained(after).named_parameters())
    assert all(torch.equal(again[name], parameter) for name, parameter in small.model.named_parameters())
    rows = manifest_of(after, tmp_path / "out", SparsityPlan())["variants"]
    assert [row["name"] for row in rows] == ["dense", "pruned, not trained", "recovered"]
    assert rows[0]["parameters"] > rows[1]["parameters"] == rows[2]["parameters"]


def test_a_plan_on_top_of_a_recovery_is_a_model_of_its_own_with_its_drop_from_the_dense_one(learner, tmp_path):
    after = round_of(learner, tmp_path / "rounds")
    rows = manifest_of(after, tmp_path / "out", HALF)["variants"]
    assert [row["name"] for row in rows] == ["dense", "pruned, not trained", "recovered", "masked"]
    dense, masked = rows[0]["metric"]["value"], rows[-1]["metric"]["value"]
    assert rows[-1]["drop"]["value"] == pytest.approx(dense - masked)


def test_what_was_made_smaller_after_its_recovery_has_no_cut_without_training(learner, tmp_path):
    after = round_of(learner, tmp_path / "rounds")
    manifest_of(after, tmp_path / "small", HALF, "shrunk")
    assert untrained(shrunk(after, tmp_path / "small")) is None
    assert untrained(learner) is None


def test_models_are_timed_in_turn_against_the_dense_one(learner, tmp_path):
    plan = SparsityPlan((Cut("fc1", sparsity=0.5),))
    times = manifest_of(learner, tmp_path / "out", plan, formats=("onnx", "onnx-int8"), seconds=0.05)["times"]
    assert {(t["variant"], t["engine"]) for t in times["timings"]} == {
        ("dense", "eager"), ("masked", "eager"), ("dense", "onnx"), ("masked", "onnx"), ("onnx-int8", "onnx"),
    }  # fmt: skip
    assert {(r["variant"], r["engine"]) for r in times["ratios"]} == {
        ("masked", "eager"), ("masked", "onnx"), ("onnx-int8", "onnx"),
    }  # fmt: skip
    assert all(t["low"] <= t["median"] <= t["high"] and t["n"] >= 6 and t["batch"] == 1 for t in times["timings"])
    assert times["machine"]["torch"] == torch.__version__


def test_the_card_tells_times_with_the_machine_and_what_was_not_timed(learner, tmp_path):
    plan = SparsityPlan((Cut("fc1", sparsity=0.5),))
    manifest = manifest_of(learner, tmp_path / "out", plan, formats=("int8",), seconds=0.05)
    card = card_of(manifest, plan)
    assert card.variants.columns[-1] == "ms, torch"
    dense, masked, int8 = (row[-1] for row in card.variants.rows)
    assert "as fast" not in dense
    assert "as fast" in masked
    assert int8 == "not measured"
    assert any(manifest["times"]["machine"]["cpu"] in note for note in card.notes)
