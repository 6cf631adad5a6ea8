"""An exported program is a model of layers again: same bits, same targets, and everything after works on it."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from core import SparsityPlan, export, load_workload, prune, sweep
from core.plans.plan import Cut
from core.workload.discovery import find_targets
from core.workload.identity.fingerprint import model_fingerprint
from core.workload.outputs import tensors_of
from core.workload.sources.registry import look
from tests.core.workload.programs.nets import NETS, write

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """By name: the module as it was, its inputs, and the reference to its program."""
    folder, found = tmp_path_factory.mktemp("programs"), {}
    for name in NETS:
        model, inputs = write(name, folder)
        found[name] = model, inputs, f"pt2:{folder}/{name}.pt2?data={folder}/{name}.safetensors"
    return found


@pytest.mark.parametrize("name", NETS)
def test_its_outputs_are_those_of_the_program_bit_for_bit_at_any_batch(made, name):
    _, inputs, ref = made[name]
    model = torch.export.load(ref.removeprefix("pt2:").partition("?")[0]).module()
    again = load_workload(ref).model
    for rows in (slice(0, 80), slice(3, 10), slice(7, 8)):
        with torch.no_grad():
            right, got = tensors_of(model(*(x[rows] for x in inputs))), tensors_of(again(*(x[rows] for x in inputs)))
        assert all(torch.equal(a, b) for a, b in zip(right, got, strict=True))


def layers(model):
    return {path: type(m) for path, m in model.named_modules() if type(m).__module__.startswith("torch.nn.modules")}


@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_layers_lie_where_they_lay_with_the_same_state(made, name):
    model, _, ref = made[name]
    again = load_workload(ref).model
    assert layers(again) == layers(model)
    mine, theirs = again.state_dict(), model.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert repr(again.get_submodule("fc1" if name == "mlp" else "c2")) == repr(model.fc1 if name == "mlp" else model.c2)


def test_a_tensor_of_two_layers_stays_one(made):
    again = load_workload(made["encoder"][2]).model
    assert again.emb.weight is again.head.weight
    assert (type(again.emb), type(again.head)) == (nn.Embedding, nn.Linear)
    tied = next(target for target in find_targets(again)[0] if target.parameter == "emb.weight")
    assert tied.shared_with == ("head.weight",)


def test_packed_projections_are_a_layer_and_heads_are_told_as_not_found(made):
    targets, uncuttable = find_targets(load_workload(made["encoder"][2]).model)
    assert "enc.layers.0.self_attn.in_proj" in [target.name for target in targets]
    (heads,) = [u for u in uncuttable if u.name == "heads of enc.layers.0.self_attn"]
    assert "name the module that it was exported from" in heads.reason


def test_what_no_layer_reads_is_listed_with_the_operation_that_does(made):
    targets, uncuttable = find_targets(load_workload(made["twice"][2]).model)
    assert [target.name for target in targets] == ["same", "read", "bare", "out"]
    reasons = {u.name: u.reason for u in uncuttable}
    assert reasons["rnn.weight_ih_l0"] == "is read by aten.gru.input, which is not made a layer again"
    mlp = {u.name: u.reason for u in find_targets(load_workload(made["mlp"][2]).model)[1]}
    assert mlp["scale"] == "is read by aten.mul.Tensor, which is not made a layer again"


def test_a_layer_that_was_called_twice_is_one(made):
    again = load_workload(made["twice"][2]).model
    assert sum(isinstance(module, nn.Linear) for module in again.modules()) == 4


@pytest.mark.parametrize("name", ["cnn", "encoder", "twice"])
def test_a_swept_cell_is_what_plain_torch_says(made, name):
    model, inputs, ref = made[name]
    report = sweep(ref, sparsities=(0.5,))
    weights = {"cnn": "c2", "encoder": "enc.layers.0.linear1", "twice": "read"}
    layer = model.get_submodule(weights[name])
    dense = layer.weight.detach().clone()
    gone = dense.abs().flatten().argsort(stable=True)[: dense.numel() // 2]
    with torch.no_grad():
        labels = model(*inputs).argmax(1)
        layer.weight.view(-1)[gone] = 0
        score = (model(*inputs).argmax(1) == labels).float().mean().item()
        layer.weight.copy_(dense)
    (cell,) = [cell for cell in report.cells if cell.cut.target == weights[name]]
    assert cell.metric.value == pytest.approx(score)


def test_channels_of_a_program_go_for_good(made, tmp_path):
    _, inputs, ref = made["cnn"]
    plan = SparsityPlan((Cut("c1", "channel", 0.5), Cut("c2", "channel", 0.5)))
    small = prune(ref, plan, form="shrunk")
    masked = prune(ref, plan)
    assert small.model.c2.weight.shape == (3, 2, 3, 3)
    assert small.model.bn.running_mean.shape == (2,)
    with torch.no_grad():
        assert torch.allclose(small.model(*inputs), masked.model(*inputs), atol=1e-5)


def test_neurons_of_layers_that_are_stored_transposed_go_for_good(made):
    """The graph holds the sizes of the views around them as numbers."""
    model, inputs, ref = made["transposed"]
    targets = {target.name: target.layout for target in find_targets(load_workload(ref).model)[0]}
    assert targets == {"up": "transposed", "down": "transposed", "out": "outputs_first"}
    small = prune(ref, SparsityPlan((Cut("up", "channel", 0.5),)), form="shrunk").model
    assert (small.up.weight.shape, small.down.weight.shape) == ((4, 4), (4, 4))
    kept = [k for k in range(8) if any(torch.equal(model.up.weight[:, k], column) for column in small.up.weight.T)]
    assert len(kept) == 4
    gone = [k for k in range(8) if k not in kept]
    with torch.no_grad():
        model.down.weight[gone] = 0
        assert torch.allclose(small(*inputs), model(*inputs), atol=1e-5)


@pytest.mark.process
def test_another_process_sees_the_same_model(made):
    ref = made["encoder"][2]
    script = (
        "import sys; from core import load_workload; from core.workload.identity.fingerprint import model_fingerprint;"
        "print(model_fingerprint(load_workload(sys.argv[1]).model))"
    )
    run = subprocess.run([sys.executable, "-c", script, ref], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == model_fingerprint(load_workload(ref).model)


@pytest.mark.process
def test_the_program_of_a_bundle_is_taken_again(made, tmp_path):
    """A shrunk model's own `.pt2` is a model to go on with."""
    _, inputs, ref = made["cnn"]
    small = prune(ref, SparsityPlan((Cut("c1", "channel", 0.5),)), form="shrunk")
    export(small, tmp_path / "out", formats=["pt2"])
    data = ref.partition("data=")[2]
    again = load_workload(f"pt2:{tmp_path}/out/model.pt2?data={data}").model
    with torch.no_grad():
        assert torch.equal(again(*inputs), small.model(*inputs))
    assert again.c1.weight.shape == (2, 1, 3, 3)


def test_what_is_inferred_is_told(made):
    lines = look(made["mlp"][2])
    assert lines[0].startswith("model: the program mlp.pt2, ")
    assert lines[1:] == (
        "data: 80 examples of mlp.safetensors",
        "inputs: x float32 (batch, 5) = x, shift float32 (batch, 12) = shift",
        "metric: accuracy",
    )
