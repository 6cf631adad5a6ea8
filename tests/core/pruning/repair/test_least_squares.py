"""What stays makes up for what goes: values beside `torch.linalg.lstsq` on inputs that the test sees itself."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.plans.plan import Cut, SparsityPlan
from core.pruning.criteria.calibration import BATCH_SIZE, Calibration
from core.pruning.masks import MaskMaker
from core.pruning.repair.least_squares import DAMPING
from core.pruning.shrink import shrink
from core.pruning.structure import find_structure
from core.pruning.wearing import pruned_copy
from core.workload.discovery import find_targets
from core.workload.examples import Examples

pytestmark = pytest.mark.model


def maker_of(model: nn.Module, x: Tensor) -> MaskMaker:
    found = find_structure(model, (x[:4],))
    return MaskMaker(model, found.targets, found.groups, Calibration(model, Examples(x)))


def shares(inputs: Tensor, weight: Tensor, n_examples: int) -> Tensor:
    """How much each input (n, columns) counts, (n, 1): the less, the larger its output beside others of its batch."""
    squares = (inputs.double() @ weight.double().T).square().sum(1)
    per_batch = squares.split(BATCH_SIZE * len(inputs) // n_examples)
    return torch.cat([m / (s + m) for s in per_batch for m in [s[s > 0].median()]])[:, None]


def mean_of(inputs: Tensor, weight: Tensor) -> Tensor:
    """Mean of inputs, one of each example, as they count."""
    w = shares(inputs, weight, len(inputs))
    return ((w * inputs).sum(0) / w.sum()).float()


def ridge(inputs: Tensor, weight: Tensor, kept: Tensor, centred: bool, n_examples: int | None = None) -> Tensor:
    """The change of what stays in a weight (rows, columns), by one least-squares problem with the penalty as rows."""
    w = shares(inputs, weight, n_examples or len(inputs))
    x = inputs.double()
    x = w.sqrt() * (x - (w * x).sum(0) / w.sum() if centred else x)
    penalty = (DAMPING * x.square().sum(0).mean()).sqrt()
    lost = x[:, ~kept] @ weight[:, ~kept].double().T
    a = torch.cat([x[:, kept], penalty * torch.eye(int(kept.sum()), dtype=torch.float64)])
    b = torch.cat([lost, torch.zeros(int(kept.sum()), len(weight), dtype=torch.float64)])
    return torch.linalg.lstsq(a, b).solution.T


def two_layers(bias: bool) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3, bias=bias)).eval()


@pytest.mark.parametrize("bias", [True, False])
def test_neurons_are_made_up_for_by_the_layer_that_reads_them(bias: bool) -> None:
    model, x = two_layers(bias), torch.randn(50, 6)
    maker = maker_of(model, x)
    tensors = maker.cut_tensors(SparsityPlan((Cut("0", "channel", 0.5),), repair="least-squares"))
    kept = maker.masks_of(Cut("0", "channel", 0.5))["2.weight"][0]
    with torch.no_grad():
        inputs = model[1](model[0](x))
    change = ridge(inputs, model[2].weight.detach(), kept, bias)
    right = torch.zeros(3, 8)
    right[:, kept] = (model[2].weight.detach()[:, kept].double() + change).float()
    assert torch.allclose(tensors["2.weight"], right, atol=1e-6)
    assert (tensors["2.weight"][:, ~kept] == 0).all()
    if bias:
        lost = (model[2].weight.detach() - right) @ mean_of(inputs, model[2].weight.detach())
        assert torch.allclose(tensors["2.bias"], model[2].bias.detach() + lost, atol=1e-5)
    else:
        assert "2.bias" not in tensors


def outputs_with(model: nn.Module, maker: MaskMaker, plan: SparsityPlan, x: Tensor) -> Tensor:
    with torch.no_grad():
        return pruned_copy(model, maker.cut_tensors(plan))(x)


@pytest.mark.parametrize("repair", ["bias", "least-squares", "full"])
def test_repaired_neurons_lie_nearer_to_the_dense_outputs_on_calibration_inputs(repair: str) -> None:
    model, x = two_layers(True), torch.randn(200, 6)
    maker, cuts = maker_of(model, x), (Cut("0", "channel", 0.5),)
    dense = model(x).detach()
    raw, better = (outputs_with(model, maker, SparsityPlan(cuts, repair=r), x) for r in (None, repair))
    assert (better - dense).square().sum() < (raw - dense).square().sum()
    with torch.no_grad():
        w = shares(model[1](model[0](x)), model[2].weight, len(x))
    assert torch.allclose(
        (w * (better - dense)).sum(0), torch.zeros(3).double(), atol=1e-4
    )  # nothing is lost on average


@pytest.mark.parametrize(
    ("stride", "padding", "groups", "mode"), [(1, 1, 1, "zeros"), (2, 2, 1, "reflect"), (2, 1, 2, "zeros")]
)
def test_channels_that_a_convolution_reads(stride: int, padding: int, groups: int, mode: str) -> None:
    torch.manual_seed(1)
    reader = nn.Conv2d(8, 6, 3, stride=stride, padding=padding, groups=groups, bias=False, padding_mode=mode)
    model = nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), reader, nn.Flatten(), nn.LazyLinear(3)).eval()
    x = torch.randn(12, 2, 9, 9)
    model(x)
    maker, cut = maker_of(model, x), Cut("0", "channel", 0.5)
    tensors = maker.cut_tensors(SparsityPlan((cut,), repair="least-squares"))
    mask = maker.masks_of(cut)["2.weight"]
    with torch.no_grad():
        h = model[1](model[0](x))
    h = F.pad(h, [padding] * 4, mode="constant" if mode == "zeros" else mode)
    for g in range(groups):
        own = h[:, g * 8 // groups : (g + 1) * 8 // groups]
        windows = F.unfold(own, 3, stride=stride).movedim(1, 2).flatten(0, 1)
        rows = slice(g * 6 // groups, (g + 1) * 6 // groups)
        weight = reader.weight.detach()[rows].flatten(1)
        kept = mask[rows][0].flatten()
        right = torch.zeros_like(weight)
        right[:, kept] = (weight[:, kept].double() + ridge(windows, weight, kept, False, len(x))).float()
        assert torch.allclose(tensors["2.weight"][rows].flatten(1), right, atol=1e-5)


class Conv1D(nn.Module):
    """As that of transformers: a linear layer that stores its weight transposed."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight, self.bias = nn.Parameter(torch.randn(nx, nf)), nn.Parameter(torch.randn(nf))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(*x.shape[:-1], self.nf)


def test_a_weight_stored_transposed_is_repaired_as_the_linear_layer_that_it_is() -> None:
    plain, x = two_layers(True), torch.randn(40, 6)
    stored = nn.Sequential(Conv1D(8, 6), nn.ReLU(), Conv1D(3, 8)).eval()
    for i in (0, 2):
        stored[i].weight.data, stored[i].bias.data = plain[i].weight.detach().T.clone(), plain[i].bias.detach().clone()
    for cut in (Cut("0", "channel", 0.5), Cut("2", "weight", 0.5)):
        plan = SparsityPlan((cut,), repair="least-squares")
        ours, theirs = (maker_of(model, x).cut_tensors(plan) for model in (stored, plain))
        assert torch.allclose(ours["2.weight"], theirs["2.weight"].T, atol=1e-5)
        assert torch.allclose(ours["2.bias"], theirs["2.bias"], atol=1e-5)


@pytest.mark.parametrize("granularity", ["weight", "2:4", "2x2"])
def test_single_weights_are_made_up_for_by_those_to_their_right(granularity: str) -> None:
    """By the optimal brain surgeon's own rule, entry by entry: the best change with all to the left held."""
    torch.manual_seed(2)
    model, x = nn.Sequential(nn.Linear(8, 4, bias=False)).eval(), torch.randn(64, 8) @ torch.randn(8, 8)
    maker = MaskMaker(model, maker_of(model, x)._targets.values(), calibration=Calibration(model, Examples(x)))  # type: ignore[arg-type]
    cut = Cut("0", granularity, None if granularity == "2:4" else 0.5)
    mask = maker.masks_of(cut)["0.weight"]
    (found,) = maker.cut_tensors(SparsityPlan((cut,), repair="least-squares")).values()
    products = (shares(x, model[0].weight.detach(), len(x)) * x.double()).T @ x.double()
    products += DAMPING * products.diagonal().mean() * torch.eye(8, dtype=torch.float64)
    right = model[0].weight.detach().double().clone()
    for row, kept in zip(right, mask, strict=True):
        for i in range(8):
            if not kept[i]:
                inverse = torch.linalg.inv(products[i:, i:])
                row[i:] -= row[i].clone() / inverse[0, 0] * inverse[0]
    assert torch.allclose(found, torch.where(mask, right, 0.0).float(), atol=1e-4)
    dense = x @ model[0].weight.detach().T
    raw = x @ torch.where(mask, model[0].weight.detach(), 0.0).T
    assert (x @ found.T - dense).square().sum() < (raw - dense).square().sum()


def test_an_example_of_huge_outputs_does_not_decide_for_all_others() -> None:
    model, x = two_layers(True), torch.randn(200, 6)
    x[7] *= 1000
    maker, cuts = maker_of(model, x), (Cut("0", "channel", 0.5),)
    dense, usual = model(x).detach(), torch.arange(200) != 7
    raw, better = (outputs_with(model, maker, SparsityPlan(cuts, repair=r), x) for r in (None, "least-squares"))
    lost = [(found - dense)[usual].square().sum() for found in (raw, better)]
    assert lost[1] < 0.7 * lost[0]


@pytest.mark.parametrize("repair", ["bias", "least-squares"])
def test_a_layer_that_some_batches_never_reach_is_repaired_by_those_that_do(repair: str) -> None:
    class Routed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.expert = two_layers(True)

        def forward(self, x: Tensor) -> Tensor:
            chosen = x[:, 0] > 10
            out = x[:, :3].clone()
            out[chosen] = self.expert(x[chosen])
            return out

    model, x = Routed().eval(), torch.randn(3 * BATCH_SIZE, 6)
    x[:BATCH_SIZE, 0] += 20  # only the first batch has any for the expert
    plan = SparsityPlan((Cut("expert.2", "weight", 0.5),), repair=repair)
    maker = MaskMaker(model, find_targets(model)[0], {}, Calibration(model, Examples(x)))
    alone = SparsityPlan((Cut("2", "weight", 0.5),), repair=repair)
    ours, theirs = maker.cut_tensors(plan), maker_of(model.expert, x[:BATCH_SIZE]).cut_tensors(alone)
    assert all(torch.allclose(ours[f"expert.{name}"], tensor, atol=1e-5) for name, tensor in theirs.items())


def test_padding_counts_for_nothing() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = two_layers(True)

        def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
            return self.layers(x) * attention_mask[..., None]

    model = Tokens().eval()
    plan = SparsityPlan((Cut("layers.0", "channel", 0.5),), repair="least-squares")
    x, mask = torch.randn(40, 5, 6), torch.arange(5) < torch.randint(1, 6, (40, 1))
    found = []
    for padding in (0.0, 100.0):
        inputs = (torch.where(mask[..., None], x, padding), mask.long())
        structure = find_structure(model, tuple(one[:4] for one in inputs))
        examples = Examples(inputs, names=("x", "attention_mask"))
        maker = MaskMaker(model, structure.targets, structure.groups, Calibration(model, examples))
        found.append(maker.cut_tensors(plan))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_where_lines_meet_in_a_layer_it_is_solved_once_for_all_of_them() -> None:
    model, x = two_layers(True), torch.randn(60, 6)
    maker = maker_of(model, x)
    plan = SparsityPlan((Cut("0", "channel", 0.5), Cut("2", "weight", 0.25)), repair="least-squares")
    tensors, masks = maker.cut_tensors(plan), maker.masks(plan)
    assert all((tensors[name][~mask] == 0).all() for name, mask in masks.items())
    dense = model(x).detach()
    raw = outputs_with(model, maker, SparsityPlan(plan.cuts), x)
    better = outputs_with(model, maker, plan, x)
    assert (better - dense).square().sum() < (raw - dense).square().sum()
    assert torch.equal(tensors["0.weight"], maker.cut_tensors(SparsityPlan(plan.cuts))["0.weight"])


def test_what_another_criterion_has_moved_is_gone_on_from() -> None:
    model, x = two_layers(True), torch.randn(60, 6)
    maker = maker_of(model, x)
    cuts = (Cut("0", "channel", 0.25), Cut("2", "weight", 0.25, "sparsegpt"))
    tensors = maker.cut_tensors(SparsityPlan(cuts, repair="least-squares"))
    moved = maker.cut_tensors(SparsityPlan(cuts[1:]))["2.weight"]
    gone = maker.masks_of(cuts[0])["2.weight"]
    assert (tensors["2.weight"][~gone] == 0).all()
    found = [((tensors["2.weight"] - w)[gone]).norm() for w in (moved, model[2].weight.detach())]
    assert found[0] < found[1]


def test_a_bias_takes_over_what_is_lost_on_average_and_stays_zero_where_its_channel_goes() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    x = torch.randn(30, 6)
    maker = maker_of(model, x)
    plan = SparsityPlan((Cut("0", "channel", 0.5), Cut("2", "channel", 0.5)), repair="bias")
    tensors, masks = maker.cut_tensors(plan), maker.masks(plan)
    with torch.no_grad():
        inputs = model[1](model[0](x))
    weight = model[2].weight.detach()
    lost = torch.where(masks["2.weight"], 0.0, weight) @ mean_of(inputs, weight)
    kept = masks["2.bias"]
    assert torch.allclose(tensors["2.bias"][kept], (model[2].bias.detach() + lost)[kept], atol=1e-6)
    assert (tensors["2.bias"][~kept] == 0).all()
    assert torch.equal(tensors["2.weight"], torch.where(masks["2.weight"], weight, 0.0))


@pytest.mark.parametrize("repair", ["bias", "least-squares", "full"])
def test_the_smaller_model_does_what_the_repaired_masked_one_does(repair: str) -> None:
    model, x = two_layers(True), torch.randn(30, 6)
    calibration = Calibration(model, Examples(x))
    plan = SparsityPlan((Cut("0", "channel", 0.5), Cut("2", "weight", 0.25)), repair=repair)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    small = shrink(model, plan, x, calibration)  # compares, and raises if they differ
    assert torch.allclose(small(x), outputs_with(model, maker_of(model, x), plan, x), atol=1e-5)
    assert not torch.allclose(small(x), shrink(model, SparsityPlan(plan.cuts), x, calibration)(x), atol=1e-3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
