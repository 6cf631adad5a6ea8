"""A replayed sweep leaves the evidence of full passes, bit for bit, whatever the model is made of; or says why not."""

import copy
import math
import re
import threading
import time
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from core import Cut, Examples, Metric, Scale, SecateurError, SweepRequest, Workload
from core.plans.plan import SparsityPlan
from core.sensitivity.cells import plan_cells
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.forwards.exported import CannotReplay, exported_program
from core.sensitivity.forwards.passes import FullForwards
from core.sensitivity.forwards.replay import NOTHING_KNOWN, Program
from core.sensitivity.forwards.replayed import ReplayForwards
from core.sensitivity.measuring.measurement import Measurement
from core.sensitivity.measuring.stopping import Cancelled
from core.sensitivity.sweep import Sweep
from core.workspace import Workspace

N, BATCH = 15, 7  # batches of 2, 5, 7 and 1


def tensors_of(outputs):
    leaves = pytree.tree_leaves(outputs)
    return [
        part
        for leaf in leaves
        for part in ([leaf] if isinstance(leaf, torch.Tensor) else pytree.tree_leaves(getattr(leaf, "__dict__", None)))
        if isinstance(part, torch.Tensor)
    ]


def total(outputs, labels):
    """Everything that a model says of an example, in one number."""
    rows = [t.flatten(1).float().sum(1) for t in tensors_of(outputs) if t.dim() > 1 and len(t) == len(labels)]
    return torch.stack(rows).sum(0)


TOTAL = Metric(Scale("total", "units", True, None, None), total)


class Made(nn.Module):
    """Parts, and a function that says what to do with them."""

    def __init__(self, how, **parts):
        super().__init__()
        self.how = how
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x):
        return self.how(self, x)


class MadeOfTwo(Made):
    """The same with two inputs."""

    def forward(self, x, y):
        return self.how(self, x, y)


class MadeOfAny(Made):
    """The same with any number of inputs."""

    def forward(self, *inputs):
        return self.how(self, *inputs)


def workload_of(make, data=None, seed=0, **fields):
    generator = torch.Generator().manual_seed(seed + 1)
    inputs = torch.randn(N, 6, generator=generator) if data is None else data(generator)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make()
    labels = torch.zeros(N, dtype=torch.int64)
    return Workload("made", model, Examples(inputs, labels), fields.pop("metric", TOTAL), batch_size=BATCH, **fields)


@dataclass
class Swept:
    rows: list[tuple[Any, ...]]
    cells: dict[Cut, Any]
    full_passes: tuple[str, ...]


def swept(workload, folder, replay=True, threads=2, memory=None, keep=False, check=lambda: None, **fields):
    """A sweep of its own workspace: what it left there, and why it made full passes."""
    workspace, found = Workspace(folder), {}
    request = SweepRequest(workload.name, **{"sparsities": (0.3, 0.8), **fields}, replay=replay)
    store = EvidenceStore(workspace)
    measurement = Measurement(workload, store, "all", check=check, threads=threads, memory=memory)
    if keep:
        measurement.replay = lambda keep: Measurement.replay(measurement, True)
    with measurement:
        cells = plan_cells(measurement.targets, request)
        Sweep(measurement, cells, request, lambda news: found.update({c.cut: c for c in news.cells.values()})).run()
        reasons = measurement.full_passes()
    return Swept(rows(workspace), found, reasons)


def rows(workspace):
    with workspace.connect() as db:
        return [tuple(row) for row in db.execute("SELECT * FROM evidence ORDER BY cell, batch")]


def state_of(model):
    """All that could have been changed in a model, and around it, as values to compare with `==`."""
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_state_dict_hooks")
    return (
        [(name, id(t), t.data_ptr(), t.requires_grad, t.stride(), t.detach().clone().flatten()) for name, t in tensors],
        [(name, module.training, sorted(vars(module))) for name, module in model.named_modules()],
        [(name, len(getattr(module, hook))) for name, module in model.named_modules() for hook in hooks],
        torch.get_num_threads(),
        torch.random.get_rng_state().tolist(),
        torch.is_grad_enabled(),
        sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("cell")),
    )


class unchanged:  # noqa: N801 - reads as a statement
    """Around a block: the model, its storage, threads, random numbers and modes are afterwards what they were."""

    def __init__(self, model):
        self.model = model

    def __enter__(self):
        self.before = state_of(self.model)

    def __exit__(self, *error):
        after = state_of(self.model)
        for (name, *was, values), (_, *now, values_now) in zip(self.before[0], after[0], strict=True):
            assert was == now, name
            assert torch.equal(values, values_now), name
        assert after[1:] == self.before[1:]


def assert_the_same_both_ways(workload, tmp_path, **fields):
    with unchanged(workload.model):
        full = swept(workload, tmp_path / "full", replay=False, **fields)
        replayed = swept(workload, tmp_path / "replayed", **fields)
    assert replayed.rows == full.rows
    assert len(full.rows) >= 1
    assert replayed.cells == full.cells
    assert full.full_passes == ()
    return replayed


class Case(NamedTuple):
    make: Callable[[], nn.Module]
    data: Callable[[torch.Generator], Any] | None = None
    full_passes: str | None = None  # what is said of them; `None`: there are none; ANY: there may be


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


@dataclass
class Plain:
    """A class that pytree does not know."""

    logits: torch.Tensor


class ModelOutput(OrderedDict):
    """As that of transformers, whose fields are also attributes."""

    def __init__(self, **fields):
        super().__init__(fields)
        self.__dict__.update(fields)


def images(shape):
    return lambda generator: torch.randn(N, *shape, generator=generator)


def codes(generator):
    return torch.randint(11, (N, 5), generator=generator)


def two_inputs(generator):
    return torch.randn(N, 6, generator=generator), torch.randn(N, 6, generator=generator)


def statistics(model):
    """Of its batch normalisations, not those of fresh ones."""
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    return model


def mlp(how=lambda m, x: m.b(torch.relu(m.a(x))), make=Made, **parts):
    return make(how, a=nn.Linear(6, 8), b=nn.Linear(8, 3), **parts)


def cnn():
    body = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.5, inplace=True),
        nn.Conv2d(4, 6, 3, stride=2, groups=2), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip
    return statistics(body)


def adds_in_place(m, x):
    y = m.a(x)
    y += x
    z = m.b(y)
    z[:, 0] = 0
    y.mul_(2)
    return z + y


def tied():
    model = Made(
        lambda m, x: m.head(torch.tanh(m.mix(m.tokens(x)))),
        tokens=nn.Embedding(11, 6), mix=nn.Linear(6, 6), head=nn.Linear(6, 11, bias=False),
    )  # fmt: skip
    model.head.weight = model.tokens.weight
    return model


def attention(**options):
    return Made(
        lambda m, x: m.fc((x + m.attn(x, x, x, **options)[0]).mean(1)),
        attn=nn.MultiheadAttention(8, 2, batch_first=True), fc=nn.Linear(8, 3),
    )  # fmt: skip


def cross_attention():
    return Made(
        lambda m, x: m.fc(m.attn(x, x[..., :4], x[..., :6], need_weights=False)[0].mean(1)),
        attn=nn.MultiheadAttention(8, 2, kdim=4, vdim=6, batch_first=True), fc=nn.Linear(8, 3),
    )  # fmt: skip


def encoder(**options):
    def how(m, x):
        for layer in m.layers:
            x = layer(x)
        return m.fc(x.mean(1))

    layers = nn.ModuleList(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **options) for _ in range(2))
    return Made(how, layers=layers, fc=nn.Linear(8, 3))


def recurrent(kind):
    parts = {"a": nn.Linear(6, 5), "r": kind(5, 4, batch_first=True), "b": nn.Linear(4, 3)}
    return Made(lambda m, x: m.b(m.r(m.a(x))[0][:, -1]), **parts)


class Heads(nn.Module):
    num_heads, head_dim = 2, 4

    def __init__(self):
        super().__init__()
        self.qkv, self.out_proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x):
        n, length, width = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, 2, 4).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + self.out_proj(y.transpose(1, 2).reshape(n, length, width))


def counts(m, x):
    m.calls += 1
    return m.b(torch.relu(m.a(x))) + m.calls


def counts_first(m, x):
    y = m.b(torch.relu(m.a(x))) * m.calls
    m.calls = m.calls + 1
    return y


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 2 * x * grad


def hooked():
    model = mlp()
    model.a.register_forward_hook(lambda module, args, output: output * 2)
    model.b.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    return model


def frozen():
    model = mlp()
    model.a.weight.requires_grad_(False)
    return model


def with_an_empty_layer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that there is nothing to initialise
        return mlp(lambda m, x: m.b(torch.relu(m.a(x))) + m.none(x).sum(), none=nn.Linear(6, 0))


def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is on its way out; people have it all the same
        inner = torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.ReLU()))
    return mlp(lambda m, x: m.b(m.inner(m.a(x))), inner=inner)


def compiled():
    return mlp(lambda m, x: m.b(m.inner(m.a(x))), inner=torch.compile(nn.Linear(8, 8), backend="eager"))


def branches(m, x):
    y = m.a(x)
    return m.b(y) if y.sum() > 0 else m.b(-y)


def rows_of_even_sum(m, x):
    """Routes examples as a mixture of experts does: how many go where depends on the numbers."""
    y = torch.zeros(len(x), 8)
    chosen = torch.nonzero(m.gate(x)[:, 0] > 0)[:, 0]
    return m.b(y.index_add(0, chosen, m.a(x[chosen])))


def in_bfloat16(m, x):
    with torch.autocast("cpu", torch.bfloat16):
        return m.b(torch.relu(m.a(x)))


def without_gradient(m, x):
    with torch.no_grad():
        y = m.a(x)
    return m.b(torch.relu(y))


def many_layers():
    return nn.Sequential(*(layer for _ in range(200) for layer in (nn.Linear(6, 6), nn.Tanh())))


SAYS = "torch.export|differ|writes in place|does not appear"
ANY = ".*"  # exact either way; whether torch can trace it is not ours to promise
CASES = {
    "mlp": Case(mlp),
    "cnn, all in place": Case(cnn, images((2, 8, 8))),
    "channels last": Case(lambda: cnn().to(memory_format=torch.channels_last), images((2, 8, 8))),
    "y += x": Case(lambda: Made(adds_in_place, a=nn.Linear(6, 6), b=nn.Linear(6, 6))),
    "in place on the input": Case(lambda: mlp(lambda m, x: m.b(torch.relu(m.a(x.clone().mul_(2)))))),
    "tied": Case(tied, codes),
    "attention": Case(lambda: attention(need_weights=False), images((5, 8)), ANY),
    "attention with weights": Case(attention, images((5, 8)), ANY),
    "attention of unlike widths": Case(cross_attention, images((5, 8)), ANY),
    "encoder": Case(encoder, images((5, 8)), ANY),
    "encoder, norm first": Case(lambda: encoder(norm_first=True, activation="gelu"), images((5, 8)), ANY),
    "stack of encoders": Case(
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), images((5, 8)), ANY
    ),
    "scaled dot product": Case(
        lambda: Made(lambda m, x: m.fc(m.two(m.one(x)).mean(1)), one=Heads(), two=Heads(), fc=nn.Linear(8, 3)),
        images((5, 8)),
    ),
    "one layer used twice": Case(
        lambda: Made(lambda m, x: m.b(torch.tanh(m.a(torch.tanh(m.a(x))))), a=nn.Linear(6, 6), b=nn.Linear(6, 3))
    ),
    "dict": Case(lambda: mlp(lambda m, x: {"a": m.a(x), "b": [m.b(m.a(x)), None, 3]})),
    "tuple, and what a cut does not reach": Case(lambda: mlp(lambda m, x: (m.a(x), m.c(x), x), c=nn.Linear(6, 2))),
    "named tuple": Case(lambda: mlp(lambda m, x: Pair(m.a(x), m.b(m.a(x))))),
    "dataclass": Case(lambda: mlp(lambda m, x: Plain(m.b(torch.relu(m.a(x))))), full_passes=SAYS),
    "model output": Case(lambda: mlp(lambda m, x: ModelOutput(logits=m.b(torch.relu(m.a(x))))), full_passes=SAYS),
    "views of what others read": Case(lambda: mlp(lambda m, x: (m.a(x), m.a(x)[:, :4], m.a(x).t().t(), m.b(m.a(x))))),
    "two inputs": Case(lambda: mlp(lambda m, x, y: m.b(torch.relu(m.a(x) + m.a(y))), MadeOfTwo), two_inputs),
    "an input that is not used": Case(lambda: mlp(lambda m, x, y: m.b(torch.relu(m.a(x))), MadeOfTwo), two_inputs),
    "any number of inputs": Case(lambda: mlp(lambda m, x, y: m.b(torch.relu(m.a(x) + m.a(y))), MadeOfAny), two_inputs),
    "counter": Case(lambda: mlp(counts, calls=torch.zeros(()))),
    "counter that is replaced": Case(lambda: mlp(counts_first, calls=torch.ones(()))),
    "its own parameter": Case(lambda: mlp(lambda m, x: (m.b(m.a(x)), m.a.weight, m.b.weight[0])), None, ANY),
    "functional use": Case(lambda: mlp(lambda m, x: m.b(F.linear(x, m.a.weight * 2, m.a.bias.detach())))),
    "data of a weight": Case(lambda: mlp(lambda m, x: m.b(F.linear(x, m.a.weight.data))), None, ANY),
    "parameter of its own": Case(
        lambda: mlp(lambda m, x: m.b(F.linear(x, m.w * 2)), w=nn.Parameter(torch.randn(8, 6)))
    ),
    "parametrized": Case(lambda: mlp(lambda m, x: m.b(torch.relu(m.n(m.a(x)))), n=weight_norm(nn.Linear(8, 8)))),
    "hooks": Case(hooked),
    "only in training": Case(lambda: mlp(lambda m, x: m.b(m.c(m.a(x)) if m.training else m.a(x)), c=nn.Linear(8, 8))),
    "never called": Case(lambda: mlp(unused=nn.Linear(4, 4))),
    "embedding": Case(lambda: Made(lambda m, x: m.b(m.a(x).mean(1)), a=nn.Embedding(11, 8), b=nn.Linear(8, 3)), codes),
    "embedding bag": Case(lambda: Made(lambda m, x: m.b(m.a(x)), a=nn.EmbeddingBag(11, 8), b=nn.Linear(8, 3)), codes),
    "conv1d": Case(
        lambda: Made(lambda m, x: m.b(m.a(x)).flatten(1), a=nn.Conv1d(2, 4, 3), b=nn.ConvTranspose1d(4, 2, 3)),
        images((2, 9)),
    ),
    "conv3d": Case(
        lambda: Made(lambda m, x: m.b(m.a(x)).flatten(1), a=nn.Conv3d(1, 3, 2), b=nn.ConvTranspose3d(3, 1, 2)),
        images((1, 4, 4, 4)),
    ),
    "conv transposed": Case(
        lambda: Made(lambda m, x: m.b(m.a(x)), a=nn.ConvTranspose2d(2, 3, 3, stride=2), b=nn.Conv2d(3, 1, 3)),
        images((2, 4, 4)),
    ),
    "lstm": Case(lambda: recurrent(nn.LSTM), images((4, 6)), ANY),
    "gru": Case(lambda: recurrent(nn.GRU), images((4, 6)), ANY),
    "bilinear": Case(
        lambda: MadeOfTwo(lambda m, x, y: m.b(m.a(x, y)), a=nn.Bilinear(6, 6, 4), b=nn.Linear(4, 3)), two_inputs
    ),
    "bfloat16": Case(lambda: mlp().bfloat16(), lambda g: torch.randn(N, 6, generator=g).bfloat16()),
    "float16": Case(lambda: mlp().half(), lambda g: torch.randn(N, 6, generator=g).half()),
    "float64": Case(lambda: mlp().double(), lambda g: torch.randn(N, 6, generator=g).double()),
    "branching on values": Case(lambda: mlp(branches), full_passes=r"torch\.export: .+"),
    "a batch size of its own": Case(
        lambda: mlp(lambda m, x: m.b(torch.relu(m.a(x))) + torch.arange(len(x)).sum() * 0),
    ),
    "rows in Python": Case(lambda: mlp(lambda m, x: torch.stack([m.b(torch.relu(m.a(row))) for row in x]))),
    "sizes in Python": Case(
        lambda: mlp(lambda m, x: m.b(m.a(x)).reshape(x.shape[0], -1) + math.sqrt(x.shape[0]) * 0 + x.shape[0] // 2 * 0)
    ),
    "branching on the batch size": Case(
        lambda: mlp(lambda m, x: m.b(m.a(x)) if len(x) > 5 else m.b(-m.a(x))), None, ANY
    ),
    "new tensors of the batch size": Case(
        lambda: mlp(lambda m, x: m.b(torch.cat([m.a(x)[:, :4], torch.ones(x.shape[0], 4)], 1)))
    ),
    "numbers out of tensors": Case(lambda: mlp(lambda m, x: m.b(m.a(x) * m.a.weight.abs().max().item()))),
    "as many rows as the numbers say": Case(lambda: mlp(rows_of_even_sum, gate=nn.Linear(6, 2)), full_passes=ANY),
    "function of its own": Case(lambda: mlp(lambda m, x: m.b(Square.apply(m.a(x))))),
    "no_grad inside": Case(lambda: mlp(without_gradient)),
    "autocast inside": Case(lambda: mlp(in_bfloat16), full_passes=ANY),
    "checkpointed": Case(
        lambda: mlp(lambda m, x: m.b(torch.utils.checkpoint.checkpoint(m.a, x, use_reentrant=False))), full_passes=ANY
    ),
    "torch.compile inside": Case(compiled, full_passes=ANY),
    "TorchScript inside": Case(scripted, full_passes=ANY),
    "an empty layer": Case(with_an_empty_layer),
    "frozen": Case(frozen),
    "complex inside": Case(lambda: mlp(lambda m, x: m.b(torch.fft.fft(m.a(x)).abs()))),
    "sparse mask of the user": Case(lambda: mlp(lambda m, x: m.b(m.a(x).masked_fill(m.a(x) < 0, float("-inf")).exp()))),
    "one layer": Case(lambda: nn.Linear(6, 3)),
    "200 layers": Case(many_layers),
}


@pytest.mark.parametrize("name", CASES)
def test_replay_leaves_the_evidence_of_full_passes(name, tmp_path):
    case = CASES[name]
    workload = workload_of(case.make, case.data)
    sparsities = {"one layer": (0.2, 0.4, 0.6, 0.8), "200 layers": (0.8,)}.get(name, (0.3, 0.8))
    found = assert_the_same_both_ways(workload, tmp_path, sparsities=sparsities)
    if case.full_passes is None:
        assert found.full_passes == ()
    elif case.full_passes != ANY:
        assert len(found.full_passes) == 1
        assert re.search(case.full_passes, found.full_passes[0])


def grid(m, x):
    return m.d(torch.relu(m.c(torch.relu(m.b(torch.relu(m.a(x))))))), m.a(x)


def four_layers(how=grid, **parts):
    return Made(how, a=nn.Linear(6, 8), b=nn.Linear(8, 8), c=nn.Linear(8, 8), d=nn.Linear(8, 3), **parts)


MAKES = {"mlp": (four_layers, None), "cnn": (cnn, images((2, 8, 8))), "fft": (CASES["complex inside"].make, None)}
WAYS = pytest.mark.parametrize("replay", [True, False], ids=["replay", "full passes"])


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize(
    "how", [{"threads": 1}, {"threads": 4}, {"memory": 1}, {"keep": True}, {"keep": True, "memory": 900}], ids=str
)
def test_threads_memory_and_what_is_kept_change_no_bit(make, how, tmp_path):
    workload = workload_of(*MAKES[make])
    full = swept(workload, tmp_path / "full", replay=False)
    with unchanged(workload.model):
        found = swept(workload, tmp_path / "other", **how)
    assert (found.rows, found.cells, found.full_passes) == (full.rows, full.cells, ())


@pytest.mark.parametrize("threads", [2, 3])
def test_evidence_does_not_depend_on_how_many_threads_an_operation_had_before(threads, tmp_path):
    workload = workload_of(*MAKES["fft"])
    one = swept(workload, tmp_path / "one")
    torch.set_num_threads(threads)
    try:
        several = swept(workload, tmp_path / "several")
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)
    assert several.rows == one.rows


def test_no_more_than_one_frontier_is_kept_at_a_time_when_memory_is_short(tmp_path, monkeypatch):
    """Of tensors that were computed for cuts, not of those that belong to the model or the data."""
    alive, most, run = weakref.WeakSet(), [0], Program.run

    def spied(program, inputs, keep, known=NOTHING_KNOWN):
        before = {t.untyped_storage().data_ptr() for t in list(alive)}
        values = run(program, inputs, keep, known)
        alive.update(t for t in pytree.tree_leaves(list(values.values())) if isinstance(t, torch.Tensor))
        most[0] = max(most[0], len(before))
        return values

    def slowly(outputs, labels):
        time.sleep(0.01)
        return total(outputs, labels)

    monkeypatch.setattr(Program, "run", spied)
    metric = replace(TOTAL, score=slowly)
    workload = workload_of(lambda: nn.Sequential(*(nn.Linear(6, 6) for _ in range(12))), metric=metric)
    swept(workload, tmp_path, memory=1, threads=4)
    assert most[0] <= 2  # values of the part before: its frontier, and the outputs of the dense model


def test_a_bound_that_all_fits_into_is_computed_for_once_a_batch(tmp_path, monkeypatch):
    runs, run = [], Program.run
    monkeypatch.setattr(Program, "run", lambda *given: runs.append(1) or run(*given))
    swept(workload_of(lambda: nn.Sequential(*(nn.Linear(6, 6) for _ in range(12)))), tmp_path / "ample")
    ample = len(runs)
    swept(workload_of(lambda: nn.Sequential(*(nn.Linear(6, 6) for _ in range(12)))), tmp_path / "short", memory=1)
    assert ample < 30 < len(runs) - ample  # 3 sizes to verify, 12 layers, the targets' trial, 3 batches


@pytest.mark.parametrize(("memory", "again"), [(None, False), (1, True)])
def test_who_comes_back_to_a_batch_for_the_next_target_goes_on_from_there(tmp_path, monkeypatch, memory, again):
    workload, run, layers = workload_of(lambda: nn.Sequential(*(nn.Linear(6, 6) for _ in range(12)))), Program.run, []
    plans = [SparsityPlan((Cut(f"{at}", "weight", 0.5),)) for at in (5, 6)]
    with Measurement(workload, None, "all", threads=1, memory=memory) as measurement:
        measurement.replay()
        for plan in plans:
            list(measurement.run_here([(0, [(0, plan)])]))

        def spied(program, inputs, keep, known=NOTHING_KNOWN):
            layers.append(bool(known))
            return run(program, inputs, keep, known)

        monkeypatch.setattr(Program, "run", spied)
        for plan in plans:
            list(measurement.run_here([(1, [(0, plan)])]))
    assert layers[-1] is not again


class Positive(nn.Linear):
    """One weight: without it nothing is left to take the logarithm of."""

    def __init__(self):
        super().__init__(1, 1, bias=False)
        nn.init.ones_(self.weight)


def exponential(m, x):
    return m.b(m.a(x)).exp() * m.c(torch.ones_like(x[:, :1]))


def with_a_cell_of_no_number():
    metric = replace(TOTAL, score=lambda outputs, labels: total(outputs, labels).log())
    return workload_of(lambda: mlp(exponential, c=Positive()), metric=metric)


def test_a_cut_of_which_scores_are_not_finite_fails_the_same_both_ways(tmp_path):
    workload = with_a_cell_of_no_number()
    found = assert_the_same_both_ways(workload, tmp_path, sparsities=(0.2, 0.9))
    failed = found.cells[Cut("c", "weight", 0.9, "magnitude")]
    assert (failed.state, failed.drop) == ("failed", None)
    assert "scores are NaN or infinite" in failed.reason
    assert found.cells[Cut("a", "weight", 0.9, "magnitude")].state == "measured"


def inverts(m, x):
    return m.b(m.a(x) @ torch.linalg.inv(m.c.weight))


def with_a_cell_that_raises():
    """A matrix has no inverse when a cut has made it singular, inside the graph as in the model."""
    workload = workload_of(lambda: mlp(inverts, c=nn.Linear(8, 8)))
    with torch.no_grad():
        workload.model.c.weight.copy_(torch.eye(8) + 0.01)
    return workload


def test_a_cut_with_which_the_model_raises_fails_the_same_both_ways(tmp_path):
    workload = with_a_cell_that_raises()
    found = assert_the_same_both_ways(workload, tmp_path, sparsities=(0.2, 0.95))
    failed = found.cells[Cut("c", "weight", 0.95, "magnitude")]
    assert failed.state == "failed"
    assert "singular" in failed.reason
    assert {c.state for cut, c in found.cells.items() if cut.target in "ab"} == {"measured"}


def counts_and_branches(m, x):
    """Reads a buffer and then writes to it: a pass through the model beside a replay would be seen by it."""
    y = grid(m, x)[0] * m.calls
    m.calls += 1
    time.sleep(0.005)
    return y


@pytest.mark.parametrize("distrusted", ["a.weight", "b.weight", "d.weight"])
def test_full_passes_of_some_cuts_do_not_disturb_the_replay_of_others(tmp_path, monkeypatch, distrusted):
    verify = ReplayForwards.verify

    def doubting(self, names, weights):
        verify(self, names, weights)
        if names == {distrusted}:
            self._exact[names] = False
            self.reasons[names] = "said the test"

    workload = workload_of(lambda: four_layers(counts_and_branches, calls=torch.ones(())))
    sparsities = tuple(i / 10 for i in range(1, 10))
    full = swept(workload, tmp_path / "full", replay=False, sparsities=sparsities)
    monkeypatch.setattr(ReplayForwards, "verify", doubting)
    for i in range(3):
        with unchanged(workload.model):
            found = swept(workload, tmp_path / str(i), sparsities=sparsities, threads=4)
        assert found.rows == full.rows
        assert found.full_passes == (f"{distrusted}: said the test",)


def test_a_replay_that_gives_something_else_is_not_relied_on(tmp_path, monkeypatch):
    tail = Program.tail

    def wrong(self, names):
        right = tail(self, names)

        def run(tensors, dense):
            return pytree.tree_map(lambda x: x + 1e-3, right.run(tensors, dense))

        return replace(right, run=run) if "b.weight" in names else right

    full = swept(workload_of(mlp), tmp_path / "full", replay=False)
    monkeypatch.setattr(Program, "tail", wrong)
    found = swept(workload_of(mlp), tmp_path / "replayed")
    assert found.rows == full.rows
    assert found.full_passes == ("b.weight: replayed outputs differ from those of a full pass",)


def test_a_full_pass_runs_alone(tmp_path, monkeypatch):
    """While it does, the model's own tensors are cut ones, from which the other cells would be made."""
    busy, met = [], []
    job, run = Measurement._job, FullForwards.run

    def noted(self, i, plan, cut_pass, *rest):
        inner = job(self, i, plan, cut_pass, *rest)

        def noting():
            busy.append(cut_pass.parallel)
            try:
                return inner()
            finally:
                busy.remove(cut_pass.parallel)

        return noting

    def watched(self, i, weights):
        if weights:
            met.extend(other for other in busy if other)
        return run(self, i, weights)

    monkeypatch.setattr(Measurement, "_job", noted)
    monkeypatch.setattr(FullForwards, "run", watched)
    swept(workload_of(four_layers), tmp_path, threads=4)
    assert met == []


def random_model(m, x):
    return m.b(F.dropout(m.a(x), 0.5, training=True))


@WAYS
def test_random_numbers_are_refused(tmp_path, replay):
    with pytest.raises(SecateurError, match="deterministic in evaluation mode"):
        swept(workload_of(lambda: mlp(random_model)), tmp_path, replay=replay)


def test_random_numbers_that_are_the_same_each_time_are_measured_as_the_model_draws_them(tmp_path):
    def how(m, x):
        torch.manual_seed(3)
        return m.b(m.a(x) * F.dropout(torch.ones(8), 0.5, training=True))  # of no example alone

    workload = workload_of(lambda: mlp(how))
    full = swept(workload, tmp_path / "full", replay=False)
    assert swept(workload, tmp_path / "replayed").rows == full.rows


def scribbling(outputs, labels):
    first, second = outputs
    first.mul_(2)
    second[:, 0] = 0
    return (first.sum(1) + second.sum(1)).float()


@WAYS
def test_a_metric_that_writes_into_what_it_is_given_is_refused_or_scores_what_the_model_gave(tmp_path, replay):
    """Outputs that a cut does not reach are the same tensors for one cell after the other."""
    metric, clean = (
        replace(TOTAL, score=score)
        for score in (scribbling, lambda outputs, labels: scribbling([t.clone() for t in outputs], labels))
    )
    expected = swept(workload_of(four_layers, metric=clean), tmp_path / "clean", replay=False)
    workload = workload_of(four_layers, metric=metric)
    try:
        found = swept(workload, tmp_path / "found", replay=replay)
    except (SecateurError, RuntimeError):  # torch's own, or ours
        return
    assert {cut: (c.state, c.drop) for cut, c in found.cells.items()} == {
        cut: (c.state, c.drop) for cut, c in expected.cells.items()
    }


@pytest.mark.parametrize("looks", [1, 5, 12, 25])
@WAYS
def test_a_cancel_keeps_what_was_finished_and_leaves_everything_as_it_was(tmp_path, looks, replay):
    left = [looks]

    def check():
        left[0] -= 1
        if left[0] < 0:
            raise Cancelled

    workload = workload_of(four_layers)
    whole = swept(workload, tmp_path / "whole", replay=replay)
    with unchanged(workload.model), pytest.raises(Cancelled):
        swept(workload, tmp_path / "part", replay=replay, check=check)
    part = rows(Workspace(tmp_path / "part"))
    assert set(part) < set(whole.rows)
    assert len(part) >= (looks - 15 if replay else (looks - 8) // 2)
    assert swept(workload, tmp_path / "part", replay=replay).rows == whole.rows


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), SecateurError("mend it"), Cancelled()], ids=repr)
@WAYS
def test_after_an_error_in_a_cell_everything_is_as_it_was(tmp_path, error, replay):
    calls = []

    def score(outputs, labels):
        calls.append(1)
        if len(calls) > 13:
            raise error
        return total(outputs, labels)

    workload = workload_of(four_layers, metric=replace(TOTAL, score=score))
    with unchanged(workload.model), pytest.raises(type(error)):
        swept(workload, tmp_path, replay=replay)
    assert rows(Workspace(tmp_path))


def test_an_error_while_news_are_told_leaves_everything_as_it_was():
    def full(news):
        raise OSError("disk full")

    workload, request = workload_of(four_layers), SweepRequest("made", (0.3, 0.8))
    with unchanged(workload.model), Measurement(workload, None) as measurement:
        sweep = Sweep(measurement, plan_cells(measurement.targets, request), request, full)
        with pytest.raises(OSError, match="disk full"):
            sweep.run()


def test_two_sweeps_of_one_measurement_leave_no_thread_behind(tmp_path):
    workload = workload_of(four_layers)
    with unchanged(workload.model), Measurement(workload, None, threads=2) as measurement:
        for sparsities in ((0.3, 0.8), (0.4, 0.7)):
            request = SweepRequest("made", sparsities)
            Sweep(measurement, plan_cells(measurement.targets, request), request, lambda news: None).run()
            assert sum(thread.name.startswith("cell") for thread in threading.enumerate()) <= 2
        assert torch.get_num_threads() == 1


@WAYS
@pytest.mark.parametrize("samples", [2, "all"])
@pytest.mark.parametrize("fails", ["by its scores", "by raising"])
def test_what_is_done_never_exceeds_the_total_and_reaches_it(replay, samples, fails):
    """A cell that fails wants no more batches; what it does not want is not waited for."""
    workload, seen = with_a_cell_of_no_number() if fails == "by its scores" else with_a_cell_that_raises(), []
    with Measurement(workload, None, samples, threads=2) as measurement:
        request = SweepRequest("made", (0.2, 0.95), replay=replay)
        Sweep(measurement, plan_cells(measurement.targets, request), request, seen.append).run()
    assert all(news.done <= news.total for news in seen)
    assert (seen[-1].done, seen[-1].closed, seen[-1].has_map) == (seen[-1].total, 6, True)


def test_a_model_for_which_there_is_only_one_example_at_a_time_says_so():
    workload = replace(workload_of(four_layers), batch_size=1)
    with Measurement(workload, None, 3) as measurement:
        sizes = [measurement.batches.size(i) for i in range(len(measurement.batches))]
        full = FullForwards(workload.model, measurement._model._kept, measurement.inputs)
        with pytest.raises(CannotReplay, match="no batch of two examples"):
            ReplayForwards(workload.model, full, [1] * len(sizes), 1, False)


def test_packed_sequences_are_named_as_the_reason_and_not_the_sizes_that_torch_trips_over():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.r, self.o = nn.Embedding(9, 4), nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 2)

        def forward(self, x):
            lengths = (x != 0).sum(1).cpu()
            given = nn.utils.rnn.pack_padded_sequence(self.words(x), lengths, batch_first=True, enforce_sorted=False)
            return self.o(nn.utils.rnn.pad_packed_sequence(self.r(given)[0], batch_first=True)[0][:, 0])

    x = torch.tensor([[1, 2, 3], [4, 5, 0]])
    with pytest.raises(CannotReplay, match=r"^it packs sequences by lengths that are read from values$"):
        exported_program(Tagger().eval(), (x,), any_size=True)


def test_what_is_known_of_a_batch_is_not_computed_again(monkeypatch):
    torch.manual_seed(0)
    model, x = nn.Sequential(*(nn.Linear(6, 6) for _ in range(8))).eval(), torch.randn(4, 6)
    program, calls = Program(model, (x,)), []
    original = torch._ops.OpOverload.__call__

    def counted(operation, /, *given, **named):
        calls.append(str(operation))
        return original(operation, *given, **named)

    with torch.inference_mode():
        third, sixth = (program.tail([f"{i}.weight"]).frontier for i in (3, 6))
        known = program.run((x,), third)
        whole = program.run((x,), sixth)
        monkeypatch.setattr(torch._ops.OpOverload, "__call__", counted)
        further = program.run((x,), {*third, *sixth}, known)
    assert calls == ["aten.linear.default"] * 3
    assert further[sixth[0]].equal(whole[sixth[0]])
    assert further[third[0]] is known[third[0]]


@pytest.mark.parametrize("act", [nn.ReLU(), nn.ReLU6(), nn.Hardswish(), nn.SiLU(), nn.GELU(), nn.GELU("tanh")], ids=str)
def test_a_tail_writes_into_nothing_that_is_needed_after_it(act):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = (nn.Conv2d(2, 2, 3, padding=1) for _ in range(3))
            self.n, self.act = nn.BatchNorm2d(2), act

        def forward(self, x):
            y = self.a(x)
            z = self.act(y)  # y is needed once more
            w = self.act(self.n(self.b(z)) + y)
            v = self.c(w)
            return v.flatten(1), self.act(v), self.act(self.c(x) + x.mean(1, keepdim=True)), x + 1

    torch.manual_seed(0)
    model, x = Net().eval(), torch.randn(4, 2, 5, 5)
    program = Program(model, (x,))
    for name, tensor in dict(model.named_parameters()).items():
        tail, cut = program.tail([name]), tensor.detach() * 0.5
        with torch.inference_mode():
            dense = program.run((x,), tail.frontier)
            before = [dense[node].clone() for node in tail.frontier]
            first = tail.run([cut], [dense[node] for node in tail.frontier])
            second = tail.run([cut], [dense[node] for node in tail.frontier])
            twin = copy.deepcopy(model)
            twin.get_parameter(name).data = cut
            theirs = twin(x)
        assert all(a.equal(dense[node]) for a, node in zip(before, tail.frontier, strict=True))
        assert all(a.equal(b) and a.equal(c) for a, b, c in zip(first, second, theirs, strict=True)), name


def test_activations_and_sums_are_written_in_place():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.GELU()).eval()
    program, seen = Program(model, (torch.randn(4, 2, 5, 5),)), []

    class Seen(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    tail = program.tail(["0.weight"])
    with torch.inference_mode():
        dense = program.run((torch.randn(4, 2, 5, 5),), tail.frontier)
        with Seen():
            tail.run([model[0].weight.detach()], [dense[node] for node in tail.frontier])
    assert {"aten.relu_.default", "aten.gelu_.default"} <= set(seen)
    assert not {"aten.relu.default", "aten.gelu.default"} & set(seen)
