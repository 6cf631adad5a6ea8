"""What a sweep says of a structured cut is what the shrunk model does; and a shrunk bundle is verified."""

import json
import random
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core import (
    Cut,
    Examples,
    PruningConfig,
    SecateurError,
    SparsityPlan,
    Workload,
    cross_entropy,
    export,
    load_workload,
    prune,
    sweep,
)
from core.delivery.bundles.verify import verify_bundle
from core.delivery.shrunk import shrunk_workload
from core.engines.onnx_writer import CannotExportError, write_onnx
from core.sensitivity.measuring.measurement import Measurement
from sample_models import fashion_resnet
from tests.core.delivery.branching import Branching

SAMPLES = ("fashion-resnet", "fashion-vit", "tiny-gpt")


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_the_drop_that_a_sweep_reports_is_that_of_the_shrunk_model(name, tmp_path):
    report = sweep(
        name,
        workspace=tmp_path,
        samples=30,
        weights=False,
        channels=True,
        blocks=True,
        sparsities=(0.5,),
        preview=False,
    )
    draw = random.Random(0)
    cells = [cell for cell in report.cells if cell.state != "failed"]
    assert {cell.cut.granularity for cell in cells} >= {"channel", "block"}
    with Measurement(load_workload(name), None, 30) as measurement:
        for cell in draw.sample(cells, 12):
            found = shrunk_workload(measurement, SparsityPlan((cell.cut,)))
            assert found.difference.largest <= 1e-5
            assert found.n_other == 0
            assert found.outcome.drop.value == pytest.approx(cell.drop.value, abs=1e-5)
            assert found.n_parameters < found.n_dense


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_a_plan_of_many_cuts_shrinks_to_what_its_masks_do(name):
    with Measurement(load_workload(name), None, 30) as measurement:
        structure = measurement.structure()
        draw = random.Random(1)
        cuts = [Cut(group, "channel", draw.choice((0.25, 0.5, 0.75))) for group in structure.groups]
        for path in structure.heads:
            heads = [t.name for t in structure.targets if t.granularity == "head" and t.layer == path]
            cuts += [Cut(head, "head") for head in draw.sample(heads, 2)]
        found = shrunk_workload(measurement, SparsityPlan(tuple(cuts)))
        masked = measurement.measure(SparsityPlan(tuple(cuts)))
    assert found.difference.largest <= 1e-5
    assert found.outcome.drop.value == pytest.approx(masked.drop.value, abs=1e-5)


def test_what_reads_the_channels_decides_the_outputs_bit_for_bit():
    with Measurement(load_workload("fashion-resnet"), None, 20) as measurement:
        structure = measurement.structure()
        for name in structure.groups:
            plan = SparsityPlan((Cut(name, "channel", 0.5),))
            some, whole = (measurement.maker.cut_tensors(plan, reading) for reading in (True, False))
            assert set(some) < set(whole)
            assert torch.equal(measurement._model.full.run(0, some), measurement._model.full.run(0, whole))


@pytest.fixture(scope="module")
def bundle(net_text, tmp_path_factory):
    """A shrunk bundle of the small net, and beside it the file that it was cut from."""
    folder = tmp_path_factory.mktemp("shrunk")
    (folder / "net.py").write_text(net_text)
    result = prune(str(folder / "net.py"), SparsityPlan((Cut("fc1", "channel", 0.5),)), form="shrunk")
    assert result.model.fc1.weight.shape == (4, 6)
    assert result.model.fc2.weight.shape == (3, 4)
    export(result, folder / "half")
    return folder / "half"


@pytest.mark.process
def test_a_shrunk_bundle_has_the_small_tensors_and_an_onnx_file(bundle):
    assert sorted(path.name for path in bundle.iterdir()) == [
        "card.html",
        "card.md",
        "manifest.json",
        "model.onnx",
        "model.safetensors",
        "plan.json",
    ]
    assert {name: tuple(t.shape) for name, t in load_file(bundle / "model.safetensors").items()} == {
        "fc1.weight": (4, 6), "fc1.bias": (4,), "fc2.weight": (3, 4), "fc2.bias": (3,),
    }  # fmt: skip
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["form"] == "shrunk"
    assert manifest["shrunk"]["parameters"] == 4 * 7 + 3 * 5
    assert manifest["shrunk"]["difference"]["n"] == manifest["examples"]
    assert manifest["shrunk"]["other_scores"] == 0
    assert verify_bundle(bundle, str(bundle.parent / "net.py"))["verified"]


@pytest.mark.process
def test_the_onnx_file_runs_without_torch_or_the_model_s_classes(bundle):
    program = (
        "import sys, numpy as np, onnxruntime as ort\n"
        "s = ort.InferenceSession(sys.argv[1])\n"
        "(x,) = s.get_inputs()\n"
        "print(s.run(None, {x.name: np.zeros((5, 6), np.float32)})[0].shape, 'torch' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-P", "-c", program, str(bundle / "model.onnx")], capture_output=True, text=True, check=True
    )
    assert run.stdout.split("\n")[0] == "(5, 3) False"


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors", "plan.json"])
def test_any_changed_file_is_seen(bundle, name, tmp_path):
    import shutil

    copy = shutil.copytree(bundle, tmp_path / "half")
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(SecateurError, match=r"hash differs"):
        verify_bundle(copy, str(bundle.parent / "net.py"))


def test_other_weights_of_the_right_shape_are_seen(bundle, tmp_path):
    import shutil

    from core.delivery.manifest import sealed, sha256_of

    copy = shutil.copytree(bundle, tmp_path / "half")
    state = load_file(copy / "model.safetensors")
    state["fc2.bias"] = state["fc2.bias"] + 1
    save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["sha256"]
    file = copy / "model.safetensors"
    manifest["files"]["model.safetensors"].update(bytes=file.stat().st_size, sha256=sha256_of(file))
    (copy / "manifest.json").write_text(sealed(manifest))
    with pytest.raises(SecateurError, match=r"fc2\.bias in .* is not what the plan makes of the dense weights"):
        verify_bundle(copy, str(bundle.parent / "net.py"))


def test_a_plan_that_skips_a_block_is_shrunk_and_not_masked(tmp_path):
    plan = SparsityPlan((Cut("stage1.1", "block"),))
    with pytest.raises(SecateurError, match=r"no mask makes block stage1\.1 pass its input on"):
        prune(fashion_resnet.workload(), plan, samples=20)
    result = prune(fashion_resnet.workload(), plan, samples=20, form="shrunk")
    assert result.shrunk.difference.largest == 0
    assert result.shrunk.n_dense - result.shrunk.n_parameters == 2 * (16 * 16 * 9 + 32)


def test_a_pattern_that_loses_channels_is_noted(conv):
    plan = SparsityPlan((Cut("conv2", "2:4"), Cut("conv1", "channel", 0.5)))
    result = prune(conv, plan, form="shrunk")
    assert result.shrunk.difference.largest <= 1e-5
    (note,) = result.shrunk.notes
    assert note.startswith("conv2 was cut as 2:4 and lost channels as well")


def test_a_model_that_onnx_cannot_hold_is_exported_without_and_says_why(hand, tmp_path):
    torch.manual_seed(0)
    workload = replace(hand, model=Branching().eval())
    with Measurement(workload, None) as measurement:
        plan = SparsityPlan((Cut("a", "channel", 0.5),))
        measurement.prepare(plan)
        shrunk = shrunk_workload(measurement, plan)
        with pytest.raises(CannotExportError, match="cannot be written as ONNX"):
            write_onnx(shrunk.model, measurement.inputs(0), tmp_path / "model.onnx")


def test_single_weights_become_zeros_and_the_shapes_stay(conv):
    result = prune(conv, PruningConfig(0.5), form="shrunk")
    assert result.shrunk.n_parameters == result.shrunk.n_dense
    assert int((result.model.conv2.weight == 0).sum()) == 108


class Clipped(nn.Module):
    """Activations that are scaled down once their norm is above 1, as in some gates."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 16), nn.Linear(16, 3)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.b(h / h.norm(dim=-1, keepdim=True).clamp(min=1) ** 2)


@pytest.mark.parametrize("replay", [True, False])
def test_a_norm_that_the_first_examples_do_not_show_is_measured_as_it_is(replay, tmp_path):
    torch.manual_seed(0)
    x = torch.randn(64, 6)
    x[:2] *= 1e-3  # those that the trial sees
    workload = Workload(
        "clipped", Clipped().eval(), Examples(x, torch.randint(3, (64,))), cross_entropy(), batch_size=16
    )
    report = sweep(
        workload, workspace=tmp_path, weights=False, channels=True, sparsities=(0.5,), replay=replay, preview=False
    )
    (cell,) = report.cells
    with Measurement(workload, None) as measurement:
        assert measurement.structure().groups["a"].readers_decide  # as far as two examples tell
        found = shrunk_workload(measurement, SparsityPlan((cell.cut,)))
    assert found.difference.largest <= 1e-5
    assert cell.drop.value == pytest.approx(found.outcome.drop.value, abs=1e-6)
