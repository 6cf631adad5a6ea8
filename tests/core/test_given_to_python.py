"""What a script gives to the functions of `core`: options of a model go to its workload, the rest is refused."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import core
from core import Cut, Examples, PruningConfig, SecateurError, SparsityPlan, find_structure, shrink, workload_of

pytestmark = pytest.mark.model
X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
DATA = TensorDataset(X, (X.sum(1) > 0).long())


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def made():
    return workload_of(net(), DATA, "accuracy")


def test_what_a_workload_of_a_model_takes_a_sweep_takes_too(tmp_path):
    options = {"sparsities": (0.5,), "preview": False}
    few = core.sweep(net(), DATA, "accuracy", batch_size=7, limit=20, name="mine", workspace=tmp_path, **options)
    assert few.dense.n == 20
    same = core.sweep(
        workload_of(net(), DATA, "accuracy", batch_size=7, limit=20, name="mine"),
        workspace=tmp_path / "other",
        **options,
    )
    assert [cell.drop for cell in few.cells] == [cell.drop for cell in same.cells]
    spare = Examples(torch.randn(9, 4))
    by_activations = core.sweep(
        net(), DATA, "accuracy", calibration=spare, criteria=("wanda",), workspace=tmp_path, **options
    )
    assert all(cell.state == "measured" for cell in by_activations.cells)
    assert core.pairs(net(), DATA, "accuracy", batch_size=7, workspace=tmp_path).pairs


FILE = Path("nowhere.py")
REFUSED = {
    "a name that is nearly one": (
        lambda: core.sweep(net(), DATA, "accuracy", sparsity=0.5),
        "no sparsity=: did you mean",
    ),
    "a name of nothing": (lambda: core.sweep(made(), tint=1), "core.sweep takes no tint=: there are align, blocks"),
    "of a model, with a workload": (lambda: core.sweep(made(), batch_size=9), "takes batch_size= with a model and its"),
    "of a model, with a name": (
        lambda: core.sweep("fashion-resnet", limit=9),
        "takes limit= with a model and its data",
    ),
    "of pairs": (
        lambda: core.pairs(made(), sparsities=(0.5,)),
        "core.pairs takes no sparsities=: did you mean sparsity",
    ),
    "pairs of a bare model": (lambda: core.pairs(net()), "a model needs data: core.pairs"),
    "no model": (lambda: core.sweep([made()]), "a model needs data, and list is no workload"),
    "no workspace": (lambda: core.sweep(made(), workspace=None), "workspace must be a path, got None"),
    "a flag in words": (lambda: core.sweep(made(), heads="no"), "heads must be True or False, got 'no'"),
    "a replay in words": (lambda: core.sweep(made(), replay="off"), "replay must be True, False or None, got 'off'"),
    "layers as a list": (lambda: core.sweep(made(), layers=["0"]), "layers must be a regular expression such as"),
    "a seed in words": (lambda: core.sweep(made(), seed="a"), "seed must be a whole number, got 'a'"),
    "a device by number": (lambda: core.sweep(made(), device=0), "device must be a name such as 'cpu'"),
    "a file that is not there": (lambda: core.sweep(FILE), "no workload file nowhere.py"),
    "an option of no workload": (lambda: workload_of(net(), DATA, "accuracy", batchsize=9), "did you mean batch_size"),
    "data twice": (lambda: workload_of(net(), DATA, "accuracy", evaluation=DATA), "takes no evaluation="),
    "a batch size in words": (
        lambda: workload_of(net(), DATA, "accuracy", batch_size="9"),
        "must be a whole number, got",
    ),
    "pruning a model": (
        lambda: core.prune(net(), PruningConfig(0.5)),
        r"core.workload_of\(model, loader, \"accuracy\"\)",
    ),
    "pruning by a number": (lambda: core.prune(made(), 0.5), "how to prune must be a core.PruningConfig or a core.Sp"),
    "a form there is not": (
        lambda: core.prune(made(), PruningConfig(0.5), form="small"),
        "masked, shrunk; got 'small'",
    ),
    "a sparsity in quotes": (lambda: PruningConfig("0.5"), r"a fraction in \[0, 1\), got '0.5'"),
    "export of a model": (lambda: core.export(net(), "out"), r"expected what core.prune\(…\) gives"),
    "export to nowhere": (lambda: core.export(net(), None), "folder must be a path, got None"),
    "formats as text": (lambda: core.export(net(), "out", formats="pt2"), "formats must be several such as"),
    "quantizing a model": (lambda: core.quantize(net(), "out"), r"expected what core.prune\(…\) gives"),
    "a model by its class": (lambda: core.load_workload(None), "a model is named by a string: .*; got NoneType"),
    "training a model": (lambda: core.IterativePruner(0.0, 0.5, 2).run(net()), "a model is named by a string"),
}


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_what_python_gives_is_refused_in_one_line(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SecateurError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
    assert not any(path.name != ".secateur" for path in tmp_path.iterdir())


def test_the_only_input_may_come_alone():
    plan = SparsityPlan((Cut("0", "channel", 0.5),))
    assert find_structure(net(), X).groups.keys() == find_structure(net(), (X,)).groups.keys() == {"0"}
    assert torch.equal(shrink(net(), plan, X)(X), shrink(net(), plan, (X,))(X))
