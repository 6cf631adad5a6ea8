"""Criteria, held against the formulas of their papers in NumPy, against torch's pruning and against Torch-Pruning."""

import copy
import threading
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch_pruning
from torch import nn
from torch.nn.utils import prune as torch_prune

from core import Cut, Examples, SecateurError, SparsityPlan, uniform_plan
from core.plans.criteria import FACTS, why_not
from core.pruning.criteria.calibration import Calibration, CannotScoreError
from core.pruning.criteria.one_thread import one_thread
from core.pruning.criteria.registry import CHANNEL_CRITERIA, CRITERIA
from core.pruning.criteria.views import GroupView, LayerView
from core.pruning.masks import MaskMaker
from core.pruning.structure import find_structure
from core.workload.discovery import find_targets
from core.workload.metric import class_loss
from tests.tiny_models import Attentive, ConvNet, random_examples, seeded

N = 45  # calibration examples: batches of 20, 20 and 5


class Classifier(nn.Module):
    """One linear layer without a bias: the gradient of its cross-entropy is (p - y) xᵀ."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5, 4, bias=False)

    def forward(self, x):
        return self.fc(x)


@pytest.fixture
def classifier():
    return seeded(Classifier), random_examples((5,), 4, N, seed=3)


def gradients(model, examples):
    """Of the loss of each example, with respect to the weight: (n, 4, 5), by hand."""
    w, x = model.fc.weight.detach().double().numpy(), examples.inputs[0].double().numpy()
    odds = np.exp(x @ w.T)
    odds /= odds.sum(1, keepdims=True)
    truth = np.eye(4)[examples.labels.numpy()]
    return (odds - truth)[:, :, None] * x[:, None, :], w, x


def scored(name, model, examples, parameter="fc.weight", loss=class_loss):
    view = LayerView("fc", parameter, model, Calibration(model, examples, loss))
    return CRITERIA[name](view).double().numpy()


def by_paper(name, model, examples):
    """The formulas as they are printed."""
    g, w, x = gradients(model, examples)
    batches = [g[:20].mean(0), g[20:40].mean(0), g[40:].mean(0)]
    return {
        "magnitude": abs(w),
        "l2": w**2,
        "taylor": np.average([(batch * w) ** 2 for batch in batches], axis=0, weights=(20, 20, 5)),
        "snip": abs(g.mean(0) * w),
        "fisher": 0.5 * (g**2).mean(0) * w**2,
        "wanda": abs(w) * np.linalg.norm(x, axis=0),
    }[name]


@pytest.mark.parametrize("name", [name for name in CRITERIA if name != "random"])
def test_a_criterion_is_its_papers_formula(classifier, name):
    model, examples = classifier
    np.testing.assert_allclose(scored(name, model, examples), by_paper(name, model, examples), rtol=1e-4)


def test_a_smaller_last_batch_does_not_weigh_more_than_its_examples():
    """Loss w x of 20 examples x = 1, then of one x = -20: their mean is 0, the mean of the batches' means -9.5."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    examples = Examples(torch.tensor([[1.0]] * 20 + [[-20.0]]), torch.zeros(21, dtype=torch.long))
    found = Calibration(model, examples, lambda outputs, labels: outputs.squeeze(1)).get("gradients", "weight")
    assert found.total.item() == pytest.approx(0, abs=1e-5)  # the loss is float32
    assert found.squares.item() == pytest.approx(4 * (20 * 1 + 400) / 21)


def test_taylor_of_a_filter_squares_the_sum_of_its_weights(classifier):
    model, examples = classifier
    g, w, _ = gradients(model, examples)
    found = Calibration(model, examples, class_loss).get("gradients", "fc.weight").by_dim
    for dim in (0, 1):
        sums = [(g[rows].mean(0) * w).sum(1 - dim) ** 2 for rows in (slice(20), slice(20, 40), slice(40, N))]
        np.testing.assert_allclose(found[dim].numpy(), np.average(sums, axis=0, weights=(20, 20, 5)), rtol=1e-4)


def test_random_is_the_seeds_and_the_targets_alone(conv):
    model = conv.model
    targets = find_targets(model)[0]

    def masks(seed, *names):
        maker = MaskMaker(model, targets, seed=seed)
        return [next(iter(maker.masks_of(Cut(name, "weight", 0.5, "random")).values())) for name in names]

    conv1, fc = masks(0, "conv1", "fc")
    fc_first, conv1_later = masks(0, "fc", "conv1")
    assert torch.equal(conv1, conv1_later)
    assert torch.equal(fc, fc_first)
    assert not torch.equal(masks(1, "conv1")[0], conv1)
    module = copy.deepcopy(model.conv1)
    torch_prune.random_unstructured(module, "weight", 0.5)
    assert int((~conv1).sum()) == int((module.weight_mask == 0).sum())


@pytest.mark.parametrize("name", ["magnitude", "l2"])
def test_l1_and_l2_masks_of_single_weights_are_those_of_torch_prune(conv, name):
    maker = MaskMaker(conv.model, find_targets(conv.model)[0])
    for layer in ("conv1", "conv2", "fc"):
        module = copy.deepcopy(conv.model.get_submodule(layer))
        torch_prune.l1_unstructured(module, "weight", 0.5)
        (ours,) = maker.masks_of(Cut(layer, "weight", 0.5, name)).values()
        assert torch.equal(ours, module.weight_mask.bool())


def calibrated(workload, seed=7):
    """With calibration data of the same shape: other values than those it is judged on."""
    inputs, labels = workload.evaluation.inputs[0], workload.evaluation.labels
    generator = torch.Generator().manual_seed(seed)
    if inputs.is_floating_point():
        return replace(workload, calibration=Examples(torch.randn(inputs.shape, generator=generator), labels))
    return replace(workload, calibration=Examples(inputs.flip(1), labels))


def makers(workload):
    structure = find_structure(workload.model, workload.evaluation.inputs)
    return structure, lambda: MaskMaker(
        workload.model, structure.targets, structure.groups, Calibration.of(workload), seed=4
    )


def snapshot(model):
    """Everything of a model that a criterion might disturb."""
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers()]
    return {
        "bits": {name: tensor.detach().clone() for name, tensor in tensors},
        "places": {name: tensor.data_ptr() for name, tensor in tensors},
        "grads": {name: parameter.grad for name, parameter in model.named_parameters()},
        "flags": {name: parameter.requires_grad for name, parameter in model.named_parameters()},
        "modes": [module.training for module in model.modules()],
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in model.modules()],
    }


def same(one, other):
    bits, others = one.pop("bits"), other.pop("bits")
    return one == other and all(torch.equal(bits[name], others[name]) for name in bits)


@pytest.mark.parametrize("name", FACTS)
def test_every_criterion_cuts_what_it_fits_exactly_and_leaves_the_model_as_it_was(any_workload, name):
    workload = calibrated(any_workload)
    model = workload.model.train()  # whatever the mode was, it is again
    next(model.parameters()).requires_grad_(False)
    structure, maker_of = makers(workload)
    maker, before = maker_of(), snapshot(model)
    targets = [target for target in structure.targets if target.granularity in ("weight", "channel")]
    fits = [target for target in targets if why_not(name, target) is None]
    cuts = [Cut(target.name, target.granularity, sparsity, name) for target in fits for sparsity in (0.25, 0.5, 0.75)]
    cuts = [cut for cut in cuts if cut.granularity == "weight" or not _too_much(maker, cut)]
    reasons = maker.prepare(cuts)
    assert all(name == "apoz" or "hand" in reason for reason in reasons.values())
    again, kept = maker_of(), {}
    for cut in reversed([cut for cut in cuts if cut not in reasons]):
        tensors, plan = maker.cut_tensors(SparsityPlan((cut,))), SparsityPlan((cut,))
        assert all(torch.equal(tensor, again.cut_tensors(plan)[key]) for key, tensor in tensors.items())
        assert all(tensor.isfinite().all() for tensor in tensors.values())
        if cut.granularity == "channel":
            kept.setdefault(cut.curve, []).append(set(maker.units(cut)[1]))
            continue
        ((parameter, mask),) = maker.masks_of(cut).items()
        assert int((~mask).sum()) == round(cut.sparsity * mask.numel())
        assert int(tensors[parameter][~mask].count_nonzero()) == 0
        if not FACTS[name].updates:
            assert torch.equal(tensors[parameter][mask], model.get_parameter(parameter)[mask])
        kept.setdefault(cut.curve, []).append({*torch.nonzero(~mask.flatten()).flatten().tolist()})
    if FACTS[name].nested:
        for gone in kept.values():  # from the sparsest cut down
            assert all(fewer <= more for more, fewer in pairwise(gone))
    assert same(before, snapshot(model))


def _too_much(maker, cut):
    try:
        maker.units(replace(cut, criterion="magnitude"))
    except SecateurError:
        return True
    return False


@pytest.mark.parametrize("name", [name for name, facts in FACTS.items() if "weights" in facts.scores])
def test_two_of_four_stay_whatever_the_criterion(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(8, 4, 3, groups=2), nn.Flatten(), nn.Linear(4, 3))
    calibration = Calibration(model, random_examples((8, 3, 3), 3, 30), class_loss)
    maker = MaskMaker(model, find_targets(model)[0], calibration=calibration)
    for layer, n in (("0", 4 * 4 * 9), ("2", 12)):
        (mask,) = maker.masks_of(Cut(layer, "2:4", None, name)).values()
        groups = mask.movedim(1, -1).unflatten(-1, (-1, 4))
        assert bool((groups.sum(-1) == 2).all())
        assert int(mask.sum()) == n // 2


def test_wanda_takes_the_same_share_of_every_output():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 7))
    examples = random_examples((10,), 7, 30)
    maker = MaskMaker(model, find_targets(model)[0], calibration=Calibration(model, examples))
    for sparsity, counts in ((0.5, {5}), (0.3, {3}), (0.25, {2, 3})):  # 17.5 of 70, to even: 18 = 7 * 2 + 4
        (mask,) = maker.masks_of(Cut("0", "weight", sparsity, "wanda")).values()
        assert set((~mask).sum(1).tolist()) == counts
        assert int((~mask).sum()) == round(sparsity * 70)
    score = model[0].weight.detach().abs() * examples.inputs[0].norm(dim=0)
    (mask,) = maker.masks_of(Cut("0", "weight", 0.5, "wanda")).values()
    for row, kept in zip(score, mask, strict=True):
        assert row[kept].min() > row[~kept].max()


CONVOLUTIONS = {
    "plain": nn.Conv2d(4, 6, 3),
    "strided and padded": nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0)),
    "same": nn.Conv2d(4, 6, 3, padding="same", dilation=2),
    "reflected": nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    "grouped": nn.Conv2d(4, 6, 3, groups=2),
    "depthwise": nn.Conv2d(4, 8, 3, groups=4),
    "one dimension": nn.Conv1d(4, 6, 3, stride=2),
    "three dimensions": nn.Conv3d(4, 6, 2),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_wanda_and_hessians_see_what_a_convolution_multiplies(kind):
    """The gradient of the sum of the outputs by one filter's weights is the sum of what each weight was laid on."""
    conv = CONVOLUTIONS[kind]
    x = torch.randn(3, 4, *[7] * len(conv.kernel_size), generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(conv)
    calibration = Calibration(model, Examples(x))
    squares = calibration.get("norms", "0.weight")
    products = calibration.get("hessians", "0.weight")
    columns = conv.weight[0].numel()
    assert products.shape == (conv.groups, columns, columns)
    torch.testing.assert_close(products.diagonal(dim1=1, dim2=2), squares)
    twin = copy.deepcopy(conv).double()
    (of_squares,) = torch.autograd.grad(twin(x.double().square()).sum(), twin.weight)
    expected = of_squares.flatten(1).unflatten(0, (conv.groups, -1))[:, 0]
    torch.testing.assert_close(squares, expected)


def test_the_projections_of_multihead_attention_are_seen(attentive):
    """Packed, and the output projection that is handed to a function."""
    model, (x,) = attentive.model, attentive.evaluation.inputs
    calibration = Calibration(model, attentive.evaluation)
    expected = x.double().square().sum((0, 1))
    torch.testing.assert_close(calibration.get("norms", "attn.in_proj_weight"), expected.expand(3, -1))
    joined = []
    with torch.no_grad():
        q, k, v = (x @ model.attn.in_proj_weight.T + model.attn.in_proj_bias).chunk(3, -1)
        for own in (slice(0, 4), slice(4, 8)):
            joined.append(torch.softmax(q[..., own] @ k[..., own].transpose(1, 2) / 2, -1) @ v[..., own])
    expected = torch.cat(joined, -1).double().square().sum((0, 1))
    torch.testing.assert_close(calibration.get("norms", "attn.out_proj.weight")[0], expected, rtol=1e-4, atol=1e-4)


def test_a_tied_weight_is_seen_where_it_multiplies(tied_lm):
    calibration = Calibration(tied_lm.model, tied_lm.evaluation)
    seen = []
    handle = tied_lm.model.head.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    with torch.no_grad():
        tied_lm.model(*tied_lm.evaluation.inputs)
    handle.remove()
    torch.testing.assert_close(
        calibration.get("norms", "tokens.weight")[0], seen[0].double().square().sum((0, 1)), rtol=1e-5, atol=1e-5
    )


def channel_scores(name, model, examples, inputs):
    group = find_structure(model, inputs).groups["conv1"]
    return CHANNEL_CRITERIA[name](GroupView(group, model, Calibration(model, examples, class_loss), 0))


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("magnitude", torch_pruning.importance.MagnitudeImportance(p=1, group_reduction="first", normalizer=None)),
        ("l2", torch_pruning.importance.MagnitudeImportance(p=2, group_reduction="first", normalizer=None)),
        ("fpgm", torch_pruning.importance.FPGMImportance(p=1, group_reduction="first", normalizer=None)),
        ("bn_scale", torch_pruning.importance.BNScaleImportance(group_reduction="mean", normalizer=None)),
        (
            "taylor",
            torch_pruning.importance.TaylorImportance(group_reduction="first", normalizer=None, multivariable=True),
        ),
    ],
)
def test_channels_are_worth_what_torch_pruning_says(conv, name, theirs):
    model, examples = conv.model, random_examples((1, 8, 8), 3, 20, seed=5)  # one batch, of which they know one too
    if name == "fpgm":  # they take distances between absolute values, the paper between filters
        model.conv1.weight.data.abs_()
    ours = channel_scores(name, model, examples, conv.evaluation.inputs)
    twin = copy.deepcopy(model)
    class_loss(twin(*examples.inputs), examples.labels).mean().backward()
    graph = torch_pruning.DependencyGraph().build_dependency(twin, conv.evaluation.inputs[0][:2])
    group = graph.get_pruning_group(twin.conv1, torch_pruning.prune_conv_out_channels, list(range(4)))
    found = theirs(group).double().detach()
    expected = found.square() if name == "taylor" else found
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-8)


def test_fpgm_is_the_sum_of_distances_to_the_other_filters(conv):
    filters = conv.model.conv1.weight.detach().flatten(1).double().numpy()
    expected = [sum(np.linalg.norm(own - other) for other in filters) for own in filters]
    found = channel_scores("fpgm", conv.model, conv.evaluation, conv.evaluation.inputs)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_apoz_is_the_share_of_activations_that_are_not_zero(conv):
    model, examples = conv.model, random_examples((1, 8, 8), 3, 30, seed=5)
    with torch.no_grad():
        active = torch.relu(model.bn1(model.conv1(examples.inputs[0])))
    expected = (active != 0).double().mean((0, 2, 3))
    torch.testing.assert_close(channel_scores("apoz", model, examples, conv.evaluation.inputs), expected)


def test_apoz_says_that_no_activation_is_ever_zero():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.GELU(), nn.Linear(6, 3))
    x = random_examples((5,), 3, 20)
    structure = find_structure(model, x.inputs)
    maker = MaskMaker(model, structure.targets, structure.groups, Calibration(model, x))
    cut = Cut("0", "channel", 0.5, "apoz")
    assert "no activation of the channels of 0 was zero" in maker.prepare([cut])[cut]


def test_head_gradient_is_the_formula_of_the_paper(attentive):
    """|Σ A ∂L/∂A| of each example, averaged; A is what a head gives the projection."""
    model, examples = seeded(Attentive), random_examples((5, 8), 3, 12, seed=2)
    maker = MaskMaker(model, find_targets(model)[0], calibration=Calibration(model, examples, class_loss))
    heads = [target for target in find_targets(model)[0] if target.granularity == "head"]
    found = maker.head_scores("head_gradient", heads)
    (x,) = examples.inputs
    q, k, v = (x @ model.attn.in_proj_weight.T + model.attn.in_proj_bias).chunk(3, -1)
    parts = [
        torch.softmax(q[..., own] @ k[..., own].transpose(1, 2) / 2, -1) @ v[..., own]
        for own in (slice(0, 4), slice(4, 8))
    ]
    joined = torch.cat(parts, -1).detach().requires_grad_()
    outputs = model.fc((x + joined @ model.attn.out_proj.weight.T + model.attn.out_proj.bias).mean(1))
    (gradient,) = torch.autograd.grad(class_loss(outputs, examples.labels).sum(), joined)
    per_head = (joined * gradient).unflatten(-1, (2, 4)).sum((1, 3)).abs().mean(0)
    torch.testing.assert_close(found, per_head.detach().double(), rtol=1e-4, atol=1e-7)


def test_uniform_plans_choose_heads_by_any_criterion_that_knows_them(attentive):
    workload = calibrated(attentive)
    structure = find_structure(workload.model, workload.evaluation.inputs)
    calibration = Calibration.of(workload)
    for name in ("magnitude", "taylor", "wanda", "head_gradient"):
        plan = uniform_plan(workload.model, structure, heads=0.5, criterion=name, calibration=calibration)
        heads = [t for t in structure.targets if t.granularity == "head"]
        maker = MaskMaker(workload.model, structure.targets, structure.groups, calibration)
        least = heads[int(maker.head_scores(name, heads).argmin())]
        assert [cut.target for cut in plan.cuts] == [least.name]
    with pytest.raises(SecateurError, match="not for the heads"):
        uniform_plan(workload.model, structure, heads=0.5, criterion="fpgm")


def test_what_is_missing_is_named():
    model, examples = seeded(ConvNet), random_examples((1, 8, 8), 3, 8)
    for criterion, calibration, mend in (
        ("wanda", Calibration(model), "calibration=Examples"),
        ("taylor", Calibration(model, None, class_loss), "calibration=Examples"),
        ("taylor", Calibration(model, examples, None), "loss=..."),
    ):
        maker = MaskMaker(model, find_targets(model)[0], calibration=calibration)
        cut = Cut("fc", "weight", 0.5, criterion)
        with pytest.raises(SecateurError, match=mend):
            maker.prepare([cut])
        with pytest.raises(SecateurError, match=mend):
            maker.masks_of(cut)


def test_sums_that_do_not_fit_into_memory_are_refused_before_they_are_made(conv, monkeypatch):
    monkeypatch.setattr("core.pruning.criteria.calibration.free_memory", lambda device: 16 * 36**2 - 1)
    calibration = Calibration(conv.model, conv.evaluation)
    with pytest.raises(SecateurError, match="cut fewer layers at a time"):
        calibration.get("hessians", "conv2.weight")  # 4 inputs x 3 x 3
    assert calibration.get("hessians", "conv1.weight").shape == (1, 9, 9)


class HandsOver(nn.Module):
    """Of its two layers one is handed to a function, and one is not used."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, x):
        return nn.functional.linear(x, self.used.weight)


def test_a_layer_that_nobody_can_see_is_named_with_the_reason():
    model = HandsOver()
    calibration = Calibration(model, random_examples((5,), 3, 8), class_loss)
    maker = MaskMaker(model, find_targets(model)[0], calibration=calibration)
    unseen, unreached = Cut("used", "weight", 0.5, "wanda"), Cut("unused", "weight", 0.5, "fisher")
    fine = Cut("used", "weight", 0.5, "fisher")
    reasons = maker.prepare([unseen, unreached, fine])
    assert set(reasons) == {unseen, unreached}
    assert "nobody saw its inputs" in reasons[unseen]
    assert "the loss does not depend on unused.weight" in reasons[unreached]
    with pytest.raises(CannotScoreError):
        maker.masks_of(unreached)


def test_sums_are_the_same_whoever_else_asks_and_however_many_threads_there_are(conv):
    examples = random_examples((1, 8, 8), 3, 30, seed=5)
    alone = Calibration(conv.model, examples, class_loss)
    together = Calibration(conv.model, examples, class_loss)
    names = ("conv1.weight", "conv2.weight", "fc.weight")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        together.gather({"gradients": names, "squares": names, "hessians": names})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    for name in names:
        assert torch.equal(alone.get("gradients", name).squares, together.get("gradients", name).squares)
        assert torch.equal(alone.get("squares", name), together.get("squares", name))
        assert torch.equal(alone.get("hessians", name), together.get("hessians", name))


def test_threads_that_overlap_leave_the_number_of_threads_as_it_was():
    """A goes in, B goes in, A comes out, B comes out; B started when A had set one thread."""
    b_is_in, a_is_out, seen = threading.Event(), threading.Event(), []

    def b():
        with one_thread():
            with one_thread():
                b_is_in.set()
                a_is_out.wait(10)
            seen.append(torch.get_num_threads())
        seen.append(torch.get_num_threads())

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        other = threading.Thread(target=b)
        with one_thread():
            other.start()
            assert b_is_in.wait(10)
        assert torch.get_num_threads() == 2
        a_is_out.set()
        other.join(10)
        assert seen == [1, 2]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
