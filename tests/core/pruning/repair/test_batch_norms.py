"""Statistics behind a cut, beside those that a plain loop takes; and that the model is afterwards what it was."""

import pytest
import torch
from torch import Tensor, nn

from core.errors import SecateurError
from core.plans.plan import Cut, SparsityPlan
from core.pruning.criteria.calibration import Calibration
from core.pruning.masks import MaskMaker
from core.pruning.shrink import shrink
from core.pruning.structure import find_structure
from core.pruning.wearing import pruned_copy
from core.workload.examples import Examples

pytestmark = pytest.mark.model


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 25, 3),
    )  # fmt: skip
    with torch.no_grad():
        for _ in range(40):
            model(torch.randn(16, 2, 5, 5) + 0.5)
    return model.eval()


def calibration_of(model: nn.Module, x: Tensor, batch_size: int = 16) -> Calibration:
    return Calibration(model, Examples(x), batch_size=batch_size)


def maker_of(model: nn.Module, calibration: Calibration, x: Tensor) -> MaskMaker:
    found = find_structure(model, (x[:4],))
    return MaskMaker(model, found.targets, found.groups, calibration)


def test_statistics_behind_a_cut_are_those_of_what_comes_there_now() -> None:
    model, x = network(), torch.randn(32, 2, 5, 5) + 0.5
    maker, cuts = maker_of(model, calibration_of(model, x), x), (Cut("0", "channel", 0.5),)
    tensors = maker.cut_tensors(SparsityPlan(cuts, repair="batchnorm"))
    cut = pruned_copy(model, maker.cut_tensors(SparsityPlan(cuts)))
    with torch.no_grad():
        there = cut[:4](x).double().movedim(1, 0).flatten(1)
    assert torch.allclose(tensors["4.running_mean"], there.mean(1).float(), atol=1e-5)
    assert torch.allclose(tensors["4.running_var"], there.var(1).float(), rtol=1e-4)
    kept = maker.masks_of(cuts[0])["0.bias"]  # what comes to the channels that stay is what came before
    assert torch.equal(tensors["1.running_mean"][kept], model[1].running_mean[kept])
    assert torch.equal(tensors["1.running_var"][kept], model[1].running_var[kept])


def test_a_cut_behind_all_batch_norms_has_none_to_repair() -> None:
    model, x = network(), torch.randn(32, 2, 5, 5)
    maker = maker_of(model, calibration_of(model, x), x)
    reasons = maker.prepare([Cut("7", "weight", 0.5), Cut("0", "weight", 0.5)], "batchnorm")
    assert reasons == {
        Cut("7", "weight", 0.5): "no repair by batchnorm: no batch normalisation runs on what the cut changes"
    }


def test_statistics_of_single_examples_are_refused() -> None:
    model, x = network(), torch.randn(32, 2, 5, 5)
    maker = maker_of(model, calibration_of(model, x, batch_size=1), x)
    (reason,) = maker.prepare([Cut("0", "weight", 0.5)], "batchnorm").values()
    assert "statistics need batches of at least 8 calibration examples" in reason


@pytest.mark.parametrize("repair", ["batchnorm", "full"])
def test_the_smaller_model_carries_the_statistics(repair: str) -> None:
    model, x = network(), torch.randn(32, 2, 5, 5) + 0.5
    plan = SparsityPlan((Cut("0", "channel", 0.5), Cut("3", "weight", 0.5)), repair=repair)
    calibration = calibration_of(model, x)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    small = shrink(model, plan, x, calibration)
    masked = pruned_copy(model, maker_of(model, calibration, x).cut_tensors(plan))
    assert torch.allclose(small(x), masked(x), atol=1e-4)
    assert torch.equal(small[4].running_mean, masked[4].running_mean)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class Breaks(nn.Module):
    """Raises once it is told to."""

    told = False

    def forward(self, x: Tensor) -> Tensor:
        if Breaks.told:
            raise RuntimeError("broken")
        return x


def test_after_an_error_inside_the_repair_model_and_copy_are_what_they_were() -> None:
    model = nn.Sequential(*network()[:5], Breaks(), *network()[5:]).eval()
    x = torch.randn(32, 2, 5, 5) + 0.5
    maker, plan = maker_of(model, calibration_of(model, x), x), SparsityPlan((Cut("0", "weight", 0.5),), None, "full")
    maker.prepare(plan.cuts, plan.repair)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Breaks.told = True
    try:
        with pytest.raises(RuntimeError, match="broken"):
            maker.cut_tensors(plan)
    finally:
        Breaks.told = False
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    again, fresh = maker.cut_tensors(plan), maker_of(model, calibration_of(model, x), x).cut_tensors(plan)
    assert set(again) == set(fresh)
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in again.items())


class Block(nn.Module):
    """Keeps its shape."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.inner(x))


def test_a_skipped_block_changes_the_statistics_behind_it() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Sequential(Block(), Block()), nn.BatchNorm1d(6), nn.Linear(6, 2)).eval()
    x = torch.randn(40, 6)
    maker, cut = maker_of(model, calibration_of(model, x, 40), x), Cut("0.1", "block")
    plan = SparsityPlan((cut,), repair="batchnorm")
    assert maker.prepare([cut], "batchnorm") == {}
    assert "skipped block" in maker.prepare([cut], "least-squares")[cut]
    tensors = maker.cut_tensors(plan, skipping=True)
    with torch.no_grad():
        there = model[0][0](x)
    assert torch.allclose(tensors["1.running_mean"], there.mean(0), atol=1e-6)
    assert torch.allclose(tensors["1.running_var"], there.var(0), rtol=1e-4)
    assert torch.allclose(
        shrink(model, plan, x, calibration_of(model, x, 40))[1].running_mean, there.mean(0), atol=1e-6
    )


def test_without_calibration_data_there_is_no_repair() -> None:
    model, x = network(), torch.randn(8, 2, 5, 5)
    maker = maker_of(model, Calibration(model, name="net"), x)
    with pytest.raises(SecateurError, match="net has no calibration data, which repairs look at"):
        maker.prepare([Cut("0", "weight", 0.5)], "least-squares")


def test_what_cannot_be_repaired_says_why() -> None:
    model, x = network(), torch.randn(32, 2, 5, 5)
    maker = maker_of(model, calibration_of(model, x), x)
    cuts = [Cut("3", "weight", 0.5), Cut("0", "weight", 0.5, "sparsegpt")]
    assert "3.weight has no bias of its own" in maker.prepare(cuts, "bias")[cuts[0]]
    assert maker.prepare(cuts, "least-squares") == {
        cuts[1]: "no repair by least-squares: sparsegpt moves the weights that stay itself"
    }
