"""A smaller model goes on as a workload: it is recovered with the dense model as its teacher, and told from it."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from core import (
    Cut,
    FineTuning,
    IterativePruner,
    SecateurError,
    SparsityPlan,
    agreement,
    export,
    load_workload,
    prune,
    recovered,
    shrunk,
    sweep,
)
from core.cli import following
from core.delivery.bundles.verify import verify_bundle
from core.pruning.structure import find_structure
from core.recovery.request import RecoverRequest
from core.recovery.round_file import path_of
from core.recovery.rounds import Recovery
from core.sensitivity.measuring.measurement import Measurement
from tests.core.cli.running import secateur

TRAINED = """
def workload():
    from dataclasses import replace

    x = torch.randn(200, 6, generator=torch.Generator().manual_seed(7))
    found = dense()
    judged = found.evaluation.inputs[0]
    with torch.no_grad():
        training, evaluation = (Examples(some, found.model(some).argmax(1)) for some in (x, judged))
    return replace(found, training=training, evaluation=evaluation)
"""
HALF = SparsityPlan((Cut("fc1", "channel", 0.5),))
HOW = FineTuning(steps=60, batch_size=32, rate=2e-2)
ONE_ROUND = IterativePruner(final_sparsity=0.0, num_iterations=1)


@pytest.fixture(scope="module")
def exported(net_text, tmp_path_factory):
    """A bundle of the smaller model, beside the file that it was made of. Not to be changed."""
    file = tmp_path_factory.mktemp("exported") / "net.py"
    file.write_text(net_text.replace("def workload():", "def dense():") + TRAINED)
    export(prune(str(file), HALF, form="shrunk"), file.with_name("half"))
    return file


@pytest.fixture
def file(exported, tmp_path):
    return Path(shutil.copyfile(exported, tmp_path / "net.py"))


@pytest.fixture
def bundle(exported, tmp_path):
    return Path(shutil.copytree(exported.with_name("half"), tmp_path / "half"))


def test_the_smaller_model_is_a_workload_with_the_dense_one_as_its_teacher(file, bundle):
    dense = load_workload(str(file))
    small = shrunk(dense, bundle)
    small.check()
    assert small.name == "net, shrunk"
    assert small.teacher is dense.model
    assert small.model.fc1.weight.shape == (4, 6)
    assert dense.model.fc1.weight.shape == (8, 6)
    written = json.loads((bundle / "manifest.json").read_text())["shrunk"]
    with Measurement(small, None, "all") as measurement:
        assert measurement.dense().value == written["metric"]["value"]


def test_fine_tuned_alone_it_recovers_and_drops_are_from_the_dense_model(file, bundle, tmp_path):
    dense = load_workload(str(file))
    small = shrunk(dense, bundle)
    found = ONE_ROUND.run(small, HOW, folder=tmp_path / "rounds")
    (row,) = found.history
    assert row.sparsity == 0
    assert row.steps == 60
    assert row.after.value > row.before.value
    with Measurement(dense, None, "all") as measurement:
        of_dense = measurement.dense().value
    assert row.drop.value == pytest.approx(of_dense - row.after.value, abs=1e-12)
    assert found.model.fc1.weight.shape == (4, 6)
    (folder,) = [path.parent for path in (tmp_path / "rounds").rglob("round-001.safetensors")]
    again = recovered(small, path_of(folder, 1))
    assert again.teacher is dense.model
    with Measurement(again, None, "all") as measurement:
        assert measurement.dense() == row.after


def test_what_it_learns_from_is_the_dense_model(file, bundle):
    dense = load_workload(str(file))
    small = shrunk(dense, bundle)
    alone = replace(HOW, distillation=1.0)
    x = dense.evaluation.inputs[0]

    def distance(model):
        with torch.no_grad():
            return nn.functional.kl_div(
                model(x).log_softmax(1), dense.model(x).log_softmax(1), log_target=True, reduction="batchmean"
            )

    assert distance(ONE_ROUND.run(small, alone).model) < 0.5 * distance(small.model)
    with Measurement(small, None, "all") as measurement:
        recovery = Recovery(measurement, RecoverRequest("x", fine_tuning=alone))
        assert torch.equal(recovery.judge._teacher.fc1.weight, dense.model.fc1.weight)


def test_agreement_is_with_the_dense_model_not_with_the_smaller_one(file, bundle):
    dense = replace(load_workload(str(file)), metric=agreement())
    small = replace(shrunk(load_workload(str(file)), bundle), metric=agreement())
    (row,) = ONE_ROUND.run(small, replace(HOW, steps=1, rate=0.0, distillation=1.0)).history
    cut = prune(dense, HALF, form="shrunk").shrunk.outcome
    assert row.after.value == cut.metric.value < 1
    assert row.drop.value == cut.drop.value
    with Measurement(small, None, "all") as measurement:
        how = replace(HOW, distillation=1.0)
        baseline = Recovery(measurement, RecoverRequest("x", fine_tuning=how)).judge.baseline()
    assert (baseline.low, baseline.value, baseline.high) == (1, 1, 1)  # with itself: nothing was sampled


@pytest.mark.process
def test_weights_that_the_plan_zeroed_stay_zero(file, tmp_path):
    plan = SparsityPlan((Cut("fc1", "channel", 0.5), Cut("fc2", sparsity=0.5)))
    export(prune(str(file), plan, form="shrunk"), tmp_path / "both")
    small = shrunk(load_workload(str(file)), tmp_path / "both")
    zeros = small.model.fc2.weight == 0
    assert int(zeros.sum()) > 0
    found = ONE_ROUND.run(small, HOW)
    assert torch.equal(found.model.fc2.weight == 0, zeros)
    n = small.model.fc1.weight.numel() + zeros.numel()
    assert found.history[0].sparsity == pytest.approx(int(zeros.sum()) / n)
    more = IterativePruner(0.0, 0.7, 2, "linear").run(small, HOW)
    assert not more.model.fc2.weight[zeros].any()
    assert more.history[-1].sparsity == pytest.approx(0.7, abs=1 / n)


def test_rounds_of_another_teacher_are_another_recovery(file, bundle, tmp_path):
    small = shrunk(load_workload(str(file)), bundle)
    other = load_workload(str(file)).model
    with torch.no_grad():
        other.fc1.bias += 0.1
    keys, judged = set(), set()
    for teacher in (small.teacher, other, None):
        with Measurement(replace(small, teacher=teacher), None, "all") as measurement:
            recovery = Recovery(measurement, RecoverRequest("x"))
            keys.add(recovery.key)
            judged.add(recovery.judge.key)
    assert len(keys) == len(judged) == 3


def test_hints_of_a_module_that_became_smaller_are_refused_others_are_taken(file, bundle):
    small = shrunk(load_workload(str(file)), bundle)
    with pytest.raises(SecateurError, match=r"fc1 gives \(32, 4\), that of the dense model \(32, 8\).*leave it out"):
        ONE_ROUND.run(small, replace(HOW, hints=("fc1",)))
    assert ONE_ROUND.run(small, replace(HOW, hints=("fc2",), steps=2)).history[0].steps == 2


@pytest.mark.process
def test_what_is_no_shrunk_bundle_of_this_model_is_refused(file, bundle, tmp_path):
    workload = load_workload(str(file))
    export(prune(str(file), SparsityPlan((Cut("fc1", sparsity=0.5),))), tmp_path / "masked")
    with pytest.raises(SecateurError, match=r"holds a masked model.*make a smaller one with `secateur shrink`"):
        shrunk(workload, tmp_path / "masked")
    with pytest.raises(SecateurError, match="is not a bundle"):
        shrunk(workload, tmp_path / "nothing")
    changed = shutil.copytree(bundle, tmp_path / "changed")
    weights = bytearray((changed / "model.safetensors").read_bytes())
    weights[-3] ^= 1
    (changed / "model.safetensors").write_bytes(bytes(weights))
    with pytest.raises(SecateurError, match="its hash differs"):
        shrunk(workload, changed)
    with torch.no_grad():
        workload.model.fc2.bias += 1
    with pytest.raises(SecateurError, match="is not the model that this bundle was cut from: its weights differ"):
        shrunk(workload, bundle)


def test_nothing_to_cut_and_nothing_to_train_is_refused():
    with pytest.raises(SecateurError, match="prunes nothing, and nothing is to be trained"):
        ONE_ROUND.run("fashion-resnet", FineTuning(epochs=0))


def test_a_teacher_is_a_module(hand):
    with pytest.raises(SecateurError, match=r"teacher of workload 'hand' must be a torch\.nn\.Module or None; got str"):
        replace(hand, teacher="dense").check()


def test_a_teacher_of_nan_weights_is_refused_before_a_learning_rate_is_blamed(hand):
    teacher = copy.deepcopy(hand.model)
    with torch.no_grad():
        teacher.fc1.weight[0, 0] = float("nan")
    with pytest.raises(SecateurError, match=r"fc1\.weight of the teacher of hand holds 1 NaN"):
        replace(hand, teacher=teacher).check()


class Sized(nn.Sequential):
    """A module that says it holds nothing, which Python takes for false."""

    def __len__(self):
        return 0


def test_a_teacher_that_python_takes_for_false_is_still_the_teacher(hand):
    teacher = Sized(nn.Linear(2, 2))
    assert not teacher
    assert replace(hand, teacher=teacher).dense_model is teacher
    assert hand.dense_model is hand.model


@pytest.mark.process
def test_an_empty_plan_makes_a_bundle_of_the_recovered_smaller_model(file, bundle, tmp_path, write_file):
    rounds = tmp_path / "rounds"
    small = shrunk(load_workload(str(file)), bundle)
    row = ONE_ROUND.run(small, HOW, folder=rounds).history[0]
    (path,) = rounds.rglob("round-001.safetensors")
    lines = (
        "from core import load_workload, recovered, shrunk",
        "def workload():",
        f"    return recovered(shrunk(load_workload({str(file)!r}), {str(bundle)!r}), {str(path)!r})",
    )
    again = write_file("again.py", "\n".join(lines))
    for form in ("masked", "shrunk"):
        manifest = export(prune(str(again), SparsityPlan(), form=form), tmp_path / form)
        assert manifest["measured"]["pruned"]["value"] == row.after.value
        assert verify_bundle(tmp_path / form, str(again))["metric"] == row.after.value
    assert (tmp_path / "shrunk" / "model.onnx").is_file()


def test_from_a_bundle_to_a_recovered_smaller_model_by_the_command_line(
    exported, file, bundle, tmp_path, monkeypatch, worker_here
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(following, "POLL_SECONDS", 0.001)
    refused = secateur("init", "small.py", "--bundle", bundle)
    assert refused.exit_code == 2
    assert f"if you trust it, name it: secateur init … --model {exported}" in refused.stderr
    assert "name the bundle, too" in secateur("init", "small.py", "--model", file).stderr
    assert "is not a bundle" in secateur("init", "small.py", "--bundle", tmp_path, "--model", file).stderr
    assert not (tmp_path / "small.py").exists()
    made = secateur("init", "small.py", "--bundle", bundle, "--model", file)
    assert made.exit_code == 0, made.stderr
    assert "secateur recover small.py --final 0" in made.stdout
    words = ("recover", "small.py", "--final", "0", "--steps", "60", "--rate", "0.02", "--out", "recovered.py")
    done = secateur(*words)
    assert done.exit_code == 0, done.stderr
    assert "Dense, before it was cut: 100.00 %" in done.stdout
    (row,) = [line.split() for line in done.stdout.splitlines() if line[:2] == "1 "]
    assert row[:3] == ["1", "0", "%"]
    swept = json.loads(secateur("sweep", "recovered.py", "--sparsities", "0.5", "--samples", "all", "--json").stdout)
    assert len(swept["report"]["cells"]) == 2
    assert swept["report"]["dense"]["value"] > 0.5


@pytest.mark.process
def test_half_of_fashion_vit_trains_further_and_is_exported_again(tmp_path, monkeypatch):
    dense = load_workload("fashion-vit")
    few = replace(dense, evaluation=dense.evaluation.first(300), training=dense.training.first(640))
    structure = find_structure(few.model, tuple(few.evaluation.inputs))
    names = [name for name in structure.groups if name.endswith(".up")]
    plan = SparsityPlan(tuple(Cut(name, "channel", 0.75) for name in names))
    assert len(names) == 4
    result = prune("fashion-vit", plan, samples=100, form="shrunk")
    export(result, tmp_path / "half")
    small = shrunk(few, tmp_path / "half")
    n_small, n_dense = (sum(p.numel() for p in model.parameters()) for model in (small.model, small.teacher))
    assert n_small < 0.75 * n_dense
    how = FineTuning(steps=20, batch_size=32, rate=1e-3)
    (row,) = ONE_ROUND.run(small, how, folder=tmp_path / "rounds").history
    assert row.after.value > row.before.value + 0.02
    (path,) = (tmp_path / "rounds").rglob("round-001.safetensors")
    again = recovered(small, path)
    with Measurement(again, None, "all") as measurement:
        assert measurement.dense() == row.after
    report = sweep(again, workspace=tmp_path / "ws", layers="classifier", sparsities=(0.5,), samples=100, preview=False)
    assert report.dense.n == 100
