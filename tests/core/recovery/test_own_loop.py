"""Masks of a plan that survive a training loop of one's own."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from core import Cut, SecateurError, SparsityPlan, held_masks
from core.pruning.criteria.calibration import Calibration
from core.workload.examples import Examples
from tests.tiny_models import Attentive, ConvNet

PLAN = SparsityPlan((Cut("0", "weight", 0.5), Cut("2", "2:4")))
OPTIMISERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1),
    "nesterov, one by one": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, foreach=False),
    "sgd fused": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1, fused=True),
    "adam": lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.3),
    "adamw foreach": lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.3, foreach=True),
    "adamw fused": lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.3, fused=True),
    "amsgrad": lambda p: torch.optim.Adam(p, 0.1, amsgrad=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, 0.1, initial_accumulator_value=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.9, centered=True),
    "adamax": lambda p: torch.optim.Adamax(p, 0.1),
    "nadam": lambda p: torch.optim.NAdam(p, 0.1, weight_decay=0.1),
    "radam": lambda p: torch.optim.RAdam(p, 0.1),
    "adadelta": lambda p: torch.optim.Adadelta(p),
    "asgd": lambda p: torch.optim.ASGD(p, 0.1),
    "rprop": lambda p: torch.optim.Rprop(p, 0.1),
    "adafactor": lambda p: torch.optim.Adafactor(p, 0.1, weight_decay=0.1),
}  # fmt: skip


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 4))


def smallest_half(weight):
    """Of the first layer by hand: the smaller half of its entries goes."""
    return weight.abs() <= weight.abs().flatten().sort().values[weight.numel() // 2 - 1]


def two_of_four(weight):
    """Of the second layer by hand: of every four along a row the two smallest go."""
    gone = torch.zeros_like(weight, dtype=torch.bool)
    for row in range(weight.shape[0]):
        for at in range(0, weight.shape[1], 4):
            for i in weight[row, at : at + 4].abs().argsort()[:2].tolist():
                gone[row, at + i] = True
    return gone


def gone_by_hand(model):
    return {"0.weight": smallest_half(model[0].weight), "2.weight": two_of_four(model[2].weight)}


def backward(model):
    model(torch.randn(6, 8)).square().sum().backward()


def train(model, optimiser, steps=3):
    for _ in range(steps):
        optimiser.zero_grad()
        backward(model)
        optimiser.step()


def assert_zero(model, gone):
    """Exact +0 in all that is gone, and something elsewhere."""
    for name, which in gone.items():
        weight = model.get_parameter(name).detach()
        assert torch.equal(weight[which].view(torch.int32), torch.zeros(int(which.sum()), dtype=torch.int32))
        assert weight[~which].count_nonzero()
        assert weight.isfinite().all()


def is_untouched(model, n_hooks):
    """Whether nothing of ours is left on parameters or in torch."""
    return hooks_of_torch() == n_hooks and not any(p._post_accumulate_grad_hooks for p in model.parameters())


def hooks_of_torch():
    from torch.optim import optimizer

    return len(optimizer._global_optimizer_pre_hooks), len(optimizer._global_optimizer_post_hooks)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_what_was_cut_is_zero_after_every_step_of_any_optimiser(name):
    before, model = hooks_of_torch(), network()
    optimiser = OPTIMISERS[name](model.parameters())
    train(model, optimiser)  # momentum of everything
    gone = gone_by_hand(model)
    with held_masks(model, PLAN) as held:
        assert_zero(model, gone)
        for _ in range(4):
            train(model, optimiser, 1)
            assert_zero(model, gone)
            assert not any(p.grad[gone[n]].any() for n, p in model.named_parameters() if n in gone)
        assert held.are_held()
        assert held.steps == 4
    assert_zero(model, gone)
    assert is_untouched(model, before)
    train(model, optimiser)
    assert model[0].weight[gone["0.weight"]].any()  # outside nothing is held


def test_the_rest_trains_as_with_the_masks_in_the_forward_pass():
    """Plain torch: w * mask in the forward, whose gradient autograd masks."""
    ours = network()
    theirs, kept = copy.deepcopy(ours), {n: ~g for n, g in gone_by_hand(ours).items()}
    batches = [torch.randn(6, 8) for _ in range(5)]
    with held_masks(ours, PLAN):
        optimiser = torch.optim.SGD(ours.parameters(), 0.05, momentum=0.9)
        for x in batches:
            optimiser.zero_grad()
            ours(x).square().sum().backward()
            torch.nn.utils.clip_grad_norm_(ours.parameters(), 1.0)
            optimiser.step()
    optimiser = torch.optim.SGD(theirs.parameters(), 0.05, momentum=0.9)
    for x in batches:
        optimiser.zero_grad()
        masked = {n: p * kept[n] if n in kept else p for n, p in theirs.named_parameters()}
        torch.func.functional_call(theirs, masked, (x,)).square().sum().backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimiser.step()
    for name, parameter in theirs.named_parameters():
        expected = parameter * kept[name] if name in kept else parameter
        assert torch.allclose(ours.get_parameter(name), expected, atol=1e-6)


def test_lbfgs_accumulated_gradients_and_a_scaler_of_amp():
    model = network()
    gone = gone_by_hand(model)
    with held_masks(model, PLAN) as held:
        optimiser = torch.optim.LBFGS(model.parameters(), 0.1, max_iter=4)

        def closure():
            optimiser.zero_grad()
            loss = model(torch.ones(6, 8)).square().sum()
            loss.backward()
            return loss

        optimiser.step(closure)
        assert_zero(model, gone)
        adam, scaler = torch.optim.AdamW(model.parameters(), 0.1, fused=True), torch.amp.GradScaler("cpu", init_scale=8)
        for _ in range(3):
            adam.zero_grad()
            for _ in range(2):  # accumulated
                with torch.autocast("cpu", torch.bfloat16):
                    loss = model(torch.randn(6, 8)).float().square().sum()
                scaler.scale(loss).backward()
            scaler.unscale_(adam)
            assert not model[0].weight.grad[gone["0.weight"]].any()
            scaler.step(adam)
            scaler.update()
            assert_zero(model, gone)
    assert held.steps == 4


def test_gradients_that_were_assigned_and_a_checkpoint_of_an_optimiser():
    model = network()
    optimiser = torch.optim.AdamW(model.parameters(), 0.1)
    train(model, optimiser)
    checkpoint = copy.deepcopy(optimiser.state_dict())
    gone = gone_by_hand(model)
    with held_masks(model, PLAN):
        train(model, optimiser)
        optimiser.load_state_dict(checkpoint)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimiser.step()
        optimiser.zero_grad()
        backward(model)
        for parameter in model.parameters():
            parameter.grad.add_(1.0)  # noise, say, after what was cut had been cleared
        optimiser.step()
        state = optimiser.state[model[0].weight]
        assert not state["exp_avg"][gone["0.weight"]].any()
        assert state["exp_avg"][~gone["0.weight"]].all()
        model.load_state_dict(network(7).state_dict())  # the best of a training, dense
    assert_zero(model, gone)


@pytest.mark.parametrize("when", ["before", "inside"])
def test_a_compiled_model_whenever_it_was_compiled(when):
    model = network()
    gone = gone_by_hand(model)
    compiled = torch.compile(model, backend="aot_eager")
    if when == "before":
        backward(compiled)  # module hooks that come after this call would do nothing
    with held_masks(compiled, PLAN) as held:
        train(compiled, torch.optim.AdamW(compiled.parameters(), 0.1), 2)
        assert_zero(model, gone)
    assert held.steps == 2


def test_running_averages_and_copies():
    model = network()
    early = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    early.update_parameters(model)
    gone = gone_by_hand(model)
    with held_masks(model, PLAN) as held:
        late = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        optimiser = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(3):
            train(model, optimiser, 1)
            early.update_parameters(model)
            late.update_parameters(model)
        twin = copy.deepcopy(model)
        assert early.module[0].weight[gone["0.weight"]].any()  # it began dense
        held.hold(early)
    for one in (late.module, early.module, twin):
        assert_zero(one, gone)
    assert not any(p._post_accumulate_grad_hooks for p in twin.parameters())
    held.hold(early)  # also afterwards


def test_an_exception_goes_through_and_leaves_nothing_behind():
    before, model = hooks_of_torch(), network()
    gone = gone_by_hand(model)

    def interrupted():
        with held_masks(model, PLAN):
            train(model, torch.optim.SGD(model.parameters(), 0.1))
            model[0].weight.data.add_(1)
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert_zero(model, gone)
    assert is_untouched(model, before)


def test_as_a_callback_and_again():
    model = network()
    held = held_masks(model, PLAN)
    model[0].weight.data.mul_(-2)
    model[0].weight.data[0, 0] = 0.0  # what goes is chosen when it begins
    gone = gone_by_hand(model)
    held.begin()
    train(model, torch.optim.SGD(model.parameters(), 0.1))
    held.end()
    held.end()
    assert_zero(model, gone)
    with held:
        train(model, torch.optim.SGD(model.parameters(), 0.1))
    assert_zero(model, gone)  # zeros rank lowest


def test_channels_with_what_belongs_to_them():
    torch.manual_seed(0)
    model, images = ConvNet(), torch.randn(4, 1, 6, 6)
    plan = SparsityPlan((Cut("conv1", "channel", 0.5),))
    with held_masks(model, plan, (images,)) as held:
        optimiser = torch.optim.Adam(model.parameters(), 0.05, weight_decay=0.1)
        for _ in range(3):
            optimiser.zero_grad()
            model(images).square().sum().backward()
            optimiser.step()
    gone = [i for i in range(4) if not model.conv1.weight[i].any()]
    assert len(gone) == 2
    for i in gone:
        assert (model.bn1.weight[i], model.bn1.bias[i]) == (0, 0)
        assert not model.conv2.weight[:, i].any()
    assert set(held.masks) == {"conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight"}


def test_heads_and_tied_tensors():
    torch.manual_seed(0)
    model, x = Attentive(), torch.randn(3, 5, 8)
    with held_masks(model, SparsityPlan((Cut("attn:1", "head"),)), (x,)):
        optimiser = torch.optim.AdamW(model.parameters(), 0.1)
        for _ in range(2):
            optimiser.zero_grad()
            model(x).square().sum().backward()
            optimiser.step()
    assert not model.attn.out_proj.weight[:, 4:].any()
    assert model.attn.out_proj.weight[:, :4].all()

    tied = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
    tied[2].weight = tied[0].weight
    gone = smallest_half(tied[0].weight)
    with held_masks(tied, SparsityPlan((Cut("0", "weight", 0.5),))) as held:
        assert list(held.masks) == ["0.weight"]
        optimiser = torch.optim.SGD(tied.parameters(), 0.1, momentum=0.9)
        for _ in range(2):
            tied(torch.randn(4, 6)).sum().backward()
            optimiser.step()
        assert not tied[2].weight[gone].any()
        tied[2].weight = nn.Parameter(torch.ones(6, 6))
        with pytest.raises(SecateurError, match=r"2\.weight.*was replaced, so what was cut"):
            optimiser.step()
        tied[2].weight = tied[0].weight


def test_a_criterion_that_looks_at_data_and_one_that_moves_what_stays():
    model, x = network(), torch.randn(40, 8)
    calibration = Calibration(model, Examples(x, torch.zeros(40, dtype=torch.long)))
    score = model[0].weight.detach().abs() * x.square().sum(0).sqrt()
    gone = torch.zeros(12, 8, dtype=torch.bool)
    for row, order in enumerate(score.argsort(1)):
        gone[row, order[:4]] = True
    with held_masks(model, SparsityPlan((Cut("0", "weight", 0.5, "wanda"),)), calibration=calibration):
        assert torch.equal(model[0].weight == 0, gone)
    with pytest.raises(SecateurError, match="calibration"):
        held_masks(network(), SparsityPlan((Cut("0", "weight", 0.5, "wanda"),))).begin()


def test_other_optimisers_are_left_alone_and_other_models_may_be_held_too():
    model, other = network(), network(1)
    with held_masks(model, PLAN) as held, held_masks(other, PLAN) as second:
        train(other, torch.optim.SGD(other.parameters(), 0.1))
    assert (held.steps, second.steps) == (0, 3)


def replace_layer(model):
    model[0] = nn.Linear(8, 12)


def drop_layer(model):
    del model[2]


def parametrise(model):
    nn.utils.parametrizations.weight_norm(model[0])


def shard(model):
    model[0].weight.data = model[0].weight.data[:6]
    model[0].weight.grad = None


@pytest.mark.parametrize("change", [replace_layer, drop_layer, parametrise, shard])
@pytest.mark.parametrize("is_stepped", [True, False])
def test_a_model_that_was_changed_inside_is_refused(change, is_stepped):
    before, model = hooks_of_torch(), network()
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    backward(model)

    def changed():
        with held_masks(model, PLAN):
            change(model)
            if is_stepped:
                optimiser.step()

    with pytest.raises(SecateurError, match=r"whose mask is held, .* before core\.held_masks"):
        changed()
    assert hooks_of_torch() == before


def test_adapters_are_refused_by_their_layer():
    class Lora(nn.Module):
        def __init__(self, base_layer):
            super().__init__()
            self.base_layer = base_layer

    model = network()
    model[0] = Lora(model[0])
    with pytest.raises(SecateurError, match=r"0 wears an adapter \(Lora\).*merge_and_unload"):
        held_masks(model, PLAN).begin()


def test_bad_input_is_refused_in_a_line():
    model, before = network(), hooks_of_torch()
    with pytest.raises(SecateurError, match=r"expected a SparsityPlan, got str"):
        held_masks(model, "plan.json")
    with pytest.raises(SecateurError, match="cuts nothing, so there are no masks"):
        held_masks(model, SparsityPlan())
    with pytest.raises(SecateurError, match="no mask makes block 0 pass"):
        held_masks(model, SparsityPlan((Cut("0", "block"),)))
    with pytest.raises(SecateurError, match="no weight target 'layer4'"):
        held_masks(model, SparsityPlan((Cut("layer4", "weight", 0.5),), "another")).begin()
    with pytest.raises(SecateurError, match="followed through the model on a few examples"):
        held_masks(model, SparsityPlan((Cut("0", "channel", 0.5),))).begin()
    with held_masks(model, PLAN) as held:
        with pytest.raises(SecateurError, match="held already by another block; put both plans into one"):
            held_masks(model, PLAN).begin()
        with pytest.raises(SecateurError, match="held already; leave the first block"):
            held.begin()
        with pytest.raises(SecateurError, match=r"the copy has no 0\.weight"):
            held.hold(nn.Linear(2, 2))
    with pytest.raises(SecateurError, match="no masks are held yet"):
        held_masks(model, PLAN).hold()
    assert hooks_of_torch() == before
