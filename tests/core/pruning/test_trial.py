"""Cuts are tried on the model's own memory, and it is afterwards what it was."""

import copy
import itertools

import pytest
import torch
from torch import nn

from core.plans.plan import Cut, SparsityPlan
from core.pruning import trial
from core.pruning.equality import exact_outputs
from core.pruning.masks import MaskMaker
from core.pruning.structure import find_structure
from core.pruning.surgery import shrunk_copy, shrunk_meanwhile
from core.pruning.trial import Trial
from core.workload.kept_state import sharing_copy, trial_copy

pytestmark = pytest.mark.model


class Residual(nn.Module):
    """Convolutions around a stream, a norm on the way, attention by torch: (n, 3, 6, 6) to (n, 5)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 1))
            for _ in range(2)
        )
        self.attention = nn.MultiheadAttention(8, 4, batch_first=True)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        x = x.flatten(2).transpose(1, 2)
        return self.fc((x + self.attention(x, x, x, need_weights=False)[0]).mean(1))


@pytest.fixture
def residual():
    torch.manual_seed(0)
    return Residual().eval()


IMAGES = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def looked_at(model):
    """What must be the same: objects, where they point, bits, flags, and every attribute of every module."""
    tensors = [(n, id(t), t.data_ptr(), t.requires_grad) for n, t in model.named_parameters()]
    bits = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    own = [
        (path, id(module), {name: repr(value) for name, value in vars(module).items() if name != "_parameters"})
        for path, module in model.named_modules()
    ]
    return tensors, bits, own


def same(before, after):
    return (
        before[0] == after[0] and before[2] == after[2] and all(map(torch.equal, before[1].values(), after[1].values()))
    )


def test_finding_and_trying_copies_no_parameter_and_leaves_the_model_alone(residual, monkeypatch):
    before = looked_at(residual)

    def refused(self, memo):
        raise AssertionError("a parameter was copied")

    expected = find_structure(copy.deepcopy(residual), IMAGES)
    monkeypatch.setattr(nn.Parameter, "__deepcopy__", refused)
    found = find_structure(residual, IMAGES)
    assert {target.granularity for target in found.targets} == {"weight", "channel", "head"}
    assert (found.targets, found.uncuttable, found.groups) == (expected.targets, expected.uncuttable, expected.groups)
    assert same(before, looked_at(residual))


@pytest.mark.parametrize("fails", [False, True])
def test_a_model_that_was_smaller_for_a_while_is_the_same_again_whatever_was_raised(residual, fails):
    structure = find_structure(residual, IMAGES)
    names = [target.name for target in structure.targets if target.granularity == "channel"]
    heads = [target.name for target in structure.targets if target.granularity == "head"]
    plan = SparsityPlan((*(Cut(name, "channel", 0.5, "magnitude") for name in names), Cut(heads[1], "head")))
    maker = MaskMaker(residual, structure.targets, structure.groups)
    expected = shrunk_copy(residual, plan, maker, structure.heads, {}).eval()
    before = looked_at(residual)
    try:
        with shrunk_meanwhile(residual, plan, maker, structure.heads):
            assert residual.blocks[0][0].out_channels == 3
            assert torch.equal(residual(IMAGES), expected(IMAGES))
            if fails:
                raise RuntimeError
    except RuntimeError:
        assert fails
    assert same(before, looked_at(residual))


def test_a_surgery_that_raises_half_way_leaves_no_trace(residual, monkeypatch):
    structure = find_structure(residual, IMAGES)
    plan = SparsityPlan(
        (Cut("blocks.0.0", "channel", 0.5, "magnitude"), Cut("blocks.1.0", "channel", 0.5, "magnitude"))
    )
    maker, before = MaskMaker(residual, structure.targets, structure.groups), looked_at(residual)

    def raises(module):
        raise MemoryError

    monkeypatch.setattr("core.pruning.surgery._tell", raises)
    with pytest.raises(MemoryError), shrunk_meanwhile(residual, plan, maker, structure.heads):
        pytest.fail("it never gets here")
    assert same(before, looked_at(residual))


class Renorming(nn.Module):
    """Its embedding writes into its own weight: (n, 3) numbers to (n, 4)."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(10, 6, max_norm=0.5)
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x):
        return self.b(torch.relu(self.a(self.words(x).mean(1))))


def test_a_model_that_writes_into_its_weights_is_copied_for_that():
    torch.manual_seed(0)
    model, words = Renorming().eval(), torch.randint(10, (4, 3))
    before = looked_at(model)
    structure = find_structure(model, words)
    assert [target.name for target in structure.targets if target.granularity == "channel"] == ["a"]
    assert same(before, looked_at(model))
    assert trial_copy(model, (words,)).words.weight.data_ptr() != model.words.weight.data_ptr()


def test_a_sharing_copy_has_its_own_flags_and_buffers_and_keeps_ties(residual):
    residual.twin = nn.Linear(8, 5)
    residual.twin.weight = residual.fc.weight
    shared = sharing_copy(residual)
    assert shared.fc.weight is shared.twin.weight
    assert shared.fc.weight is not residual.fc.weight
    assert shared.fc.weight.data_ptr() == residual.fc.weight.data_ptr()
    shared.requires_grad_(False)
    shared.fc.weight.data = torch.zeros(5, 8)
    shared.blocks[0][1].running_mean += 1
    assert residual.fc.weight.requires_grad
    assert residual.fc.weight.abs().sum() > 0
    assert residual.blocks[0][1].running_mean.abs().sum() == 0


class Borrowing(nn.Module):
    """Reads the weight of a member of its stack from outside: (n, 4) to (n, 4)."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

    def forward(self, x):
        return nn.functional.linear(self.layers[0](x), self.layers[1].weight)


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (Residual(), IMAGES),
        (nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2)), torch.randn(3, 4)),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), torch.randn(2, 5, 8)),
        (Borrowing(), torch.randn(3, 4)),
    ],
    ids=["residual", "sequential", "transformer", "borrowing"],
)
def test_what_is_long_by_turns_gives_what_a_long_copy_gives(model, x):
    model.eval()
    before = looked_at(model)
    with torch.inference_mode():
        expected = copy.deepcopy(model).double()(x.double())
        (found,) = exact_outputs(model, [x.double()])
    assert torch.equal(found, expected)
    assert same(before, looked_at(model))


class Odd(nn.Module):
    """With a module in a list, a counter, a recurrent layer, and a way of its own to be copied."""

    def __init__(self):
        super().__init__()
        self.inner, self.gru, self.count = nn.Linear(4, 4), nn.GRU(4, 4, batch_first=True), [0]
        self.known = [self.inner]
        self.register_buffer("scale", torch.ones(4))

    def __setstate__(self, state):
        super().__setstate__(state)
        self.count = [1]


def test_a_sharing_copy_is_as_deep_as_any_other():
    model = nn.Sequential(Odd(), nn.BatchNorm1d(4))
    model[1].friend = model[0]
    shared, deep = sharing_copy(model), copy.deepcopy(model)
    for one in (shared, deep):
        assert one[0].known[0] is one[0].inner
        assert one[0].inner is not model[0].inner
        assert one[1].friend is one[0]
        assert one[0].count == [1]
        assert one[0].gru._flat_weights[0] is one[0].gru.weight_ih_l0
        assert one[0].scale.data_ptr() != model[0].scale.data_ptr()
    assert repr(shared) == repr(deep)
    x = torch.randn(2, 3, 4)
    assert torch.equal(shared[0].gru(x)[0], model[0].gru(x)[0])


class Gated(nn.Module):
    """A layer whose hidden channels cannot be taken out one by one: their mean is taken from each."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 6)

    def forward(self, x):
        y = torch.relu(self.a(x))
        return self.b(y - y.mean(-1, keepdim=True) / 2)


class Plain(Gated):
    """The same, whose channels are independent."""

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


class Stack(nn.Module):
    """Layers around a stream, some of which cannot be cut: (n, 6) to (n, 3)."""

    def __init__(self, n, bad):
        super().__init__()
        self.layers = nn.ModuleList(Gated() if i in bad else Plain() for i in range(n))
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x)
        return self.fc(x)


def groups_of(bad, monkeypatch, n=16):
    """Names of the groups that are offered, and how many trials that took."""
    tried = []
    for way in ("_differs_without", "_readers_differ"):
        whole = getattr(Trial, way)
        monkeypatch.setattr(
            Trial, way, lambda self, names, *a, whole=whole: tried.append(names) or whole(self, names, *a)
        )
    torch.manual_seed(0)
    found = find_structure(Stack(n, bad).eval(), torch.randn(4, 6))
    return {name for name in found.groups if name.startswith("layers")}, len(tried)


@pytest.mark.parametrize("lent", [1 << 26, 1], ids=["all at once", "in parts"])
@pytest.mark.parametrize("bad", [(), (0,), (11,), (3, 12), (0, 2, 4, 6, 8, 10, 12, 14)])
def test_the_groups_that_fail_are_found_among_many(bad, lent, monkeypatch):
    monkeypatch.setattr(trial, "LENT", lent)
    found, _ = groups_of(bad, monkeypatch)
    assert found == {f"layers.{i}.a" for i in range(16) if i not in bad}


def test_one_group_that_fails_is_found_by_halving(monkeypatch):
    found, n = groups_of((41,), monkeypatch, n=64)
    assert len(found) == 63
    assert n <= 24  # going through all halves: 30


def test_of_many_that_fail_each_is_tried_in_its_part_and_the_whole_model_is_passed_a_few_times():
    passes = []

    class Steady(Stack):
        def forward(self, x):
            passes.append(1)
            for layer in self.layers:
                x = x + layer(x) / len(self.layers)  # else the values of the last ones hide what one layer does
            return self.fc(x)

    torch.manual_seed(0)
    found = find_structure(Steady(64, range(0, 64, 2)).eval(), torch.randn(4, 6)).groups
    assert {name for name in found if name.startswith("layers")} == {f"layers.{i}.a" for i in range(1, 64, 2)}
    assert len(passes) < 64 * 4  # each tried in the whole model: some 20 passes for each


def test_what_fails_in_its_part_alone_and_not_in_the_model_is_offered(monkeypatch):
    class Telling(Plain):
        def forward(self, x):
            self.hidden = self.a(x)
            return self.b(torch.relu(self.hidden)), self.hidden

    class Half(Stack):
        def forward(self, x):
            for layer in self.layers:
                found = layer(x)  # of some, what lies inside is given, too, and nobody reads it
                x = x + (found[0] if isinstance(found, tuple) else found)
            return self.fc(x)

    torch.manual_seed(0)
    model = Half(64, range(8)).eval()
    for i in range(8, 64):
        model.layers[i] = Telling()
    found = {name for name in find_structure(model.eval(), torch.randn(4, 6)).groups if name.startswith("layers")}
    assert found == {f"layers.{i}.a" for i in range(8, 64)}


def test_parts_hold_no_more_than_is_lent_and_meet(monkeypatch):
    torch.manual_seed(0)
    model, few = Stack(16, ()).eval(), (torch.randn(2, 6),)
    structure = find_structure(model, few)
    monkeypatch.setattr(trial, "LENT", 1)
    groups = list(structure.groups.values())
    tried = Trial(model, structure.targets, groups, few)
    parts = list(tried._parts(list(structure.groups)))
    assert len(parts) >= 4
    assert {name for part in parts for name in part} == set(structure.groups)
    assert all(before[-1] == after[0] for before, after in itertools.pairwise(parts))
    sizes = [sum(model.get_parameter(one).nbytes for name in part for one in tried._tensors(name)) for part in parts]
    assert max(sizes) <= sum(sizes) / 2
