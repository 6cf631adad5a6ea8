"""A quantized model is what its file says: zeros kept, metric of the file, every step beside the dense model."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

from core import Cut, SecateurError, SparsityPlan, cosine_to_dense, prune, quantize
from core.delivery.bundles.bundle import unique_state
from core.delivery.packed import comparison as packed_comparison
from core.delivery.packed.unpacking import dequantized, read_packed
from core.delivery.quantized import model as quantized
from core.delivery.quantized.model import write_quantized
from core.quantization.weights import QuantizedTensor
from core.sensitivity.measuring.measurement import Measurement
from tests.tiny_models import random_examples

pytestmark = pytest.mark.process


def weight_cuts(measurement, sparsity=0.5):
    return SparsityPlan.uniform(measurement.targets, sparsity)


@pytest.mark.process
def test_zeros_of_the_masks_are_zeros_of_the_file_and_all_bytes_are_told(conv, tmp_path):
    with Measurement(conv, None) as measurement:
        plan = weight_cuts(measurement)
        masks = measurement.maker.masks(plan)
        found = write_quantized(measurement, plan, tmp_path / "q.safetensors")
        dense = save(unique_state(conv.model))
    state = dequantized(read_packed(tmp_path / "q.safetensors"))
    assert set(state) == set(unique_state(conv.model))
    for name, mask in masks.items():
        assert (state[name][~mask].view(torch.int32) == 0).all()
        assert (state[name] != 0).any()
    assert found.sizes.dense == len(dense) == found.sizes.pruned
    assert found.sizes.packed == (tmp_path / "q.safetensors").stat().st_size
    assert found.pruned.metric is not None
    assert found.quantized.metric.n == found.own_drop.n == 24


@pytest.mark.process
def test_the_metric_is_that_of_the_file(any_workload, tmp_path):
    """Measured again by hand: the dequantized tensors put into the model."""
    with Measurement(any_workload, None) as measurement:
        plan = weight_cuts(measurement, 0.4)
        pruned = measurement.measure(plan)
        found = write_quantized(measurement, plan, tmp_path / "q.safetensors", bits=4)
    before = {name: tensor.clone() for name, tensor in any_workload.model.state_dict().items()}
    any_workload.model.load_state_dict(dequantized(read_packed(tmp_path / "q.safetensors")), strict=False)
    with Measurement(any_workload, None) as measurement:
        again = measurement.dense()
    assert found.quantized.metric == again
    assert found.pruned.metric == pruned.metric
    assert found.pruned.drop == pruned.drop
    assert any(not torch.equal(tensor, any_workload.model.state_dict()[name]) for name, tensor in before.items())


def test_an_empty_plan_quantizes_the_dense_model(conv, tmp_path):
    dense = {name: tensor.clone() for name, tensor in conv.model.state_dict().items()}
    with Measurement(conv, None) as measurement:
        found = write_quantized(measurement, SparsityPlan(), tmp_path / "q.safetensors")
    assert found.pruned.metric == found.dense
    assert found.pruned.drop.value == 0
    assert all(torch.equal(tensor, conv.model.state_dict()[name]) for name, tensor in dense.items())


def test_a_shrunk_model_is_quantized_in_its_new_shapes(conv, tmp_path):
    with Measurement(conv, None) as measurement:
        plan = SparsityPlan((Cut("conv1", "channel", 0.5),))
        found = write_quantized(measurement, plan, tmp_path / "q.safetensors", form="shrunk")
    held = read_packed(tmp_path / "q.safetensors")
    assert isinstance(held["conv1.weight"], QuantizedTensor)
    assert held["conv1.weight"].codes.shape == (2, 1, 3, 3)
    assert found.sizes.pruned < found.sizes.dense


def test_a_metric_against_the_dense_model_compares_with_the_dense_model(conv, tmp_path):
    """The quantized model is not held against itself: two bits must show."""
    workload = replace(conv, metric=cosine_to_dense())
    with Measurement(workload, None) as measurement:
        found = write_quantized(measurement, SparsityPlan(), tmp_path / "q.safetensors", bits=2)
    assert found.dense.value == pytest.approx(1)
    assert found.quantized.metric.value < 0.999
    assert found.own_drop.value == pytest.approx(found.dense.value - found.quantized.metric.value, abs=1e-6)


def test_what_is_told_as_json_is_plain(conv, tmp_path):
    with Measurement(conv, None) as measurement:
        told = write_quantized(measurement, SparsityPlan(), tmp_path / "q.safetensors").to_json()
    assert json.loads(json.dumps(told)) == told
    assert {row["name"] for row in told["weights"]["left"]} >= {"bn1.weight", "fc.bias", "bn1.running_mean"}
    assert sum(told["codings"].values()) == len(unique_state(conv.model))


def test_a_file_that_a_fresh_process_reads_otherwise_is_not_kept(conv, tmp_path, monkeypatch):
    monkeypatch.setattr(packed_comparison, "state_fingerprint", lambda state: "another")
    with Measurement(conv, None) as measurement, pytest.raises(SecateurError, match="its tensors differ"):
        write_quantized(measurement, SparsityPlan(), tmp_path / "q.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_file_that_exists_is_not_written_over(conv, tmp_path):
    (tmp_path / "q.safetensors").write_text("mine")
    with Measurement(conv, None) as measurement, pytest.raises(SecateurError, match="exists already"):
        write_quantized(measurement, SparsityPlan(), tmp_path / "q.safetensors")
    assert (tmp_path / "q.safetensors").read_text() == "mine"


@pytest.mark.parametrize("scheme", ["dynamic", "static"])
def test_an_onnx_file_is_measured_as_onnx_runtime_runs_it(conv, tmp_path, scheme):
    import onnx

    workload = replace(conv, calibration=random_examples((1, 8, 8), 3, 40, seed=5))
    with Measurement(workload, None) as measurement:
        found = write_quantized(measurement, weight_cuts(measurement), tmp_path / "q.onnx", bits=8, scheme=scheme)
    names = {node.op_type for node in onnx.load(tmp_path / "q.onnx").graph.node}
    assert names & ({"MatMulInteger", "ConvInteger"} if scheme == "dynamic" else {"DequantizeLinear"})
    assert found.weights is None
    assert found.sizes.packed == (tmp_path / "q.onnx").stat().st_size
    assert 0 < abs(found.own_drop.value) < 0.1 * found.dense.value


def test_static_quantization_without_calibration_data_is_refused(conv, tmp_path):
    with Measurement(conv, None) as measurement, pytest.raises(SecateurError, match="--scheme dynamic"):
        write_quantized(measurement, SparsityPlan(), tmp_path / "q.onnx", scheme="static")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["masked", "shrunk"])
def test_a_pruned_model_is_quantized_from_python(conv, tmp_path, form):
    result = prune(conv, SparsityPlan((Cut("conv1", "channel", 0.5),)), form=form)
    found = quantize(result, tmp_path / "small.safetensors", bits=4)
    assert (found.form, found.bits) == (form, 4)
    assert found.sizes.packed == (tmp_path / "small.safetensors").stat().st_size < found.sizes.dense
    assert found.dense.n == found.quantized.metric.n == len(conv.evaluation)


@pytest.mark.parametrize("fails", [True, False])
def test_a_file_that_somebody_puts_there_meanwhile_is_neither_replaced_nor_removed(conv, tmp_path, monkeypatch, fails):
    path, measured = tmp_path / "small.safetensors", quantized.measured_model

    def meanwhile(measurement, run):
        path.write_text("mine")
        if fails:
            raise SecateurError("the model gives NaN")
        return measured(measurement, run)

    monkeypatch.setattr(quantized, "measured_model", meanwhile)
    with pytest.raises(SecateurError, match="NaN" if fails else "made by somebody else in the meantime"):
        quantize(prune(conv, SparsityPlan()), path)
    assert path.read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir()] == ["small.safetensors"]
