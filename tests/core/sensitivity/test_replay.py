"""A replayed sweep leaves the evidence of full passes, bit for bit, whatever the model is made of; or says why not."""

import gc
import math
import re
import threading
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

from core import Cut, Examples, Metric, Scale, SecateurError, SweepRequest, Workload
from core.sensitivity.evidence import EvidenceStore
from core.sensitivity.forwards import FullForwards, ReplayForwards
from core.sensitivity.measurement import Cancelled, Measurement
from core.sensitivity.replay import CannotReplay, Program
from core.sensitivity.sweep import Sweep, plan_cells
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
        [(name, id(t), t.data_ptr(), t.requires_grad, t.stride(), t.detach().clone().view(-1)) for name, t in tensors],
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
    full_passes: str | None = None  # what is said of them; `None`: there are none


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
CASES = {
    "mlp": Case(mlp),
    "cnn, all in place": Case(cnn, images((2, 8, 8))),
    "channels last": Case(lambda: cnn().to(memory_format=torch.channels_last), images((2, 8, 8))),
    "y += x": Case(lambda: Made(adds_in_place, a=nn.Linear(6, 6), b=nn.Linear(6, 6))),
    "in place on the input": Case(lambda: mlp(lambda m, x: m.b(torch.relu(m.a(x.clone().mul_(2)))))),
    "tied": Case(tied, codes),
    "attention": Case(lambda: attention(need_weights=False), images((5, 8))),
    "attention with weights": Case(attention, images((5, 8))),
    "attention of unlike widths": Case(cross_attention, images((5, 8))),
    "encoder": Case(encoder, images((5, 8))),
    "encoder, norm first": Case(lambda: encoder(norm_first=True, activation="gelu"), images((5, 8))),
    "stack of encoders": Case(
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), images((5, 8))
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
    "its own parameter": Case(lambda: mlp(lambda m, x: (m.b(torch.relu(m.a(x))), m.a.weight, m.b.weight[0]))),
    "functional use": Case(lambda: mlp(lambda m, x: m.b(F.linear(x, m.a.weight * 2, m.a.bias.detach())))),
    "data of a weight": Case(lambda: mlp(lambda m, x: m.b(F.linear(x, m.a.weight.data)))),
    "parameter of its own": Case(
        lambda: mlp(lambda m, x: m.b(F.linear(x, m.w * 2)), w=nn.Parameter(torch.randn(8, 6)))
    ),
    "parametrized": Case(lambda: mlp(lambda m, x: m.b(torch.relu(m.n(m.a(x)))), n=weight_norm(nn.Linear(8, 8)))),
    "hooks": Case(hooked),
    "only in training": Case(
        lambda: mlp(lambda m, x: m.b(m.c(m.a(x)) if m.training else m.a(x)), c=nn.Linear(8, 8))
    ),
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
    "lstm": Case(
        lambda: Made(lambda m, x: m.b(m.r(m.a(x))[0][:, -1]), a=nn.Linear(6, 5), r=nn.LSTM(5, 4, batch_first=True),
                     b=nn.Linear(4, 3)),
        images((4, 6)),
    ),  # fmt: skip
    "gru": Case(
        lambda: Made(lambda m, x: m.b(m.r(m.a(x))[1][0]), a=nn.Linear(6, 5), r=nn.GRU(5, 4, batch_first=True),
                     b=nn.Linear(4, 3)),
        images((4, 6)),
    ),  # fmt: skip
    "bilinear": Case(lambda: MadeOfTwo(lambda m, x, y: m.b(m.a(x, y)), a=nn.Bilinear(6, 6, 4), b=nn.Linear(4, 3)), two_inputs),
    "bfloat16": Case(lambda: mlp().bfloat16(), lambda g: torch.randn(N, 6, generator=g).bfloat16()),
    "float16": Case(lambda: mlp().half(), lambda g: torch.randn(N, 6, generator=g).half()),
    "float64": Case(lambda: mlp().double(), lambda g: torch.randn(N, 6, generator=g).double()),
    "branching on values": Case(lambda: mlp(branches), full_passes=r"torch\.export: .+"),
    "a batch size of its own": Case(
        lambda: mlp(lambda m, x: m.b(torch.relu(m.a(x))) + torch.arange(int(len(x))).sum()),
    ),
    "rows in Python": Case(lambda: mlp(lambda m, x: torch.stack([m.b(torch.relu(m.a(row))) for row in x]))),
    "sizes in Python": Case(
        lambda: mlp(lambda m, x: m.b(m.a(x)).reshape(x.shape[0], -1) / math.sqrt(x.shape[0]) + x.shape[0] // 2)
    ),
    "branching on the batch size": Case(lambda: mlp(lambda m, x: m.b(m.a(x)) if len(x) > 5 else m.b(-m.a(x)))),
    "new tensors of the batch size": Case(
        lambda: mlp(lambda m, x: m.b(torch.cat([m.a(x)[:, :4], torch.ones(x.shape[0], 4)], 1)))
    ),
    "numbers out of tensors": Case(lambda: mlp(lambda m, x: m.b(m.a(x) * m.a.weight.abs().max().item()))),
    "as many rows as the numbers say": Case(
        lambda: mlp(rows_of_even_sum, gate=nn.Linear(6, 2)), full_passes=".*"
    ),
    "function of its own": Case(lambda: mlp(lambda m, x: m.b(Square.apply(m.a(x))))),
    "no_grad inside": Case(lambda: mlp(without_gradient)),
    "autocast inside": Case(lambda: mlp(in_bfloat16), full_passes=".*"),
    "checkpointed": Case(
        lambda: mlp(lambda m, x: m.b(torch.utils.checkpoint.checkpoint(m.a, x, use_reentrant=False))), full_passes=".*"
    ),
    "torch.compile inside": Case(compiled, full_passes=".*"),
    "TorchScript inside": Case(scripted, full_passes=".*"),
    "an empty layer": Case(with_an_empty_layer),
    "frozen": Case(frozen),
    "complex inside": Case(lambda: mlp(lambda m, x: m.b(torch.fft.fft(m.a(x)).abs()))),
    "sparse mask of the user": Case(lambda: mlp(lambda m, x: m.b(m.a(x).masked_fill(m.a(x) < 0, float("-inf")).exp()))),
    "one layer": Case(lambda: nn.Linear(6, 3)),
    "200 layers": Case(many_layers),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_replay_leaves_the_evidence_of_full_passes(name, tmp_path):
    case = CASES[name]
    workload = workload_of(case.make, case.data)
    sparsities = (0.2, 0.4, 0.6, 0.8) if name == "one layer" else (0.5, 0.8) if name == "200 layers" else (0.3, 0.8)
    found = assert_the_same_both_ways(workload, tmp_path, sparsities=sparsities)
    if case.full_passes is None:
        assert found.full_passes == ()
    elif case.full_passes != ".*":
        assert len(found.full_passes) == 1
        assert re.search(case.full_passes, found.full_passes[0])
