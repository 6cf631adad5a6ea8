"""What goes along with a head: tables per head, biases, further projections, configurations read at run time."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core import Cut, SparsityPlan, find_structure
from core.pruning.masks import MaskMaker
from core.pruning.shrink import equal, shrunk_by

DIM, HEADS, SIZE, LENGTH = 20, 5, 4, 6
X = torch.randn(6, LENGTH, DIM, generator=torch.Generator().manual_seed(1))


class Base(nn.Module):
    """Attention by hand: queries, keys and values (n, heads, length, size), and what is added to their products."""

    def __init__(self):
        super().__init__()
        self.num_heads, self.head_dim, self.off = HEADS, SIZE, None
        self.qkv, self.proj = nn.Linear(DIM, 3 * HEADS * SIZE), nn.Linear(HEADS * SIZE, DIM)

    def split(self, x):
        parts = self.qkv(x).chunk(3, -1)
        return [part.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2) for part in parts]

    def added(self):
        return 0.0

    def forward(self, x):
        q, k, v = self.split(x)
        out = torch.softmax(q @ k.transpose(-1, -2) / 2 + self.added(), -1) @ v
        if self.off is not None:  # by hand
            out = torch.cat([out[:, : self.off], 0 * out[:, self.off : self.off + 1], out[:, self.off + 1 :]], 1)
        return self.proj(out.transpose(1, 2).flatten(2))


class Slopes(Base):  # ALiBi
    def __init__(self):
        super().__init__()
        self.register_buffer("slopes", torch.linspace(0.1, 1, HEADS))

    def added(self):
        return self.slopes[:, None, None] * torch.arange(LENGTH)[None, None, :]


class Table(Base):  # Swin's
    def __init__(self):
        super().__init__()
        self.relative_position_bias_table = nn.Parameter(torch.randn(2 * LENGTH - 1, HEADS))

    def added(self):
        place = torch.arange(LENGTH)
        index = (place[:, None] - place[None, :] + LENGTH - 1).flatten()
        return self.relative_position_bias_table[index].view(LENGTH, LENGTH, -1).permute(2, 0, 1)


class Looked(Base):  # T5's
    def __init__(self):
        super().__init__()
        self.relative_attention_bias = nn.Embedding(2 * LENGTH - 1, HEADS)

    def added(self):
        place = torch.arange(LENGTH)
        return self.relative_attention_bias(place[:, None] - place[None, :] + LENGTH - 1).permute(2, 0, 1)


class Biased(Base):  # DeBERTa's, and Conformer's
    def __init__(self):
        super().__init__()
        self.q_bias, self.u = nn.Parameter(torch.randn(HEADS * SIZE)), nn.Parameter(torch.randn(HEADS, SIZE))
        self.pos_proj = nn.Linear(DIM, HEADS * SIZE)

    def split(self, x):
        q, k, v = super().split(x)
        at = self.pos_proj(x).unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)
        bias = self.q_bias.view(self.num_heads, 1, self.head_dim) + self.u[:, None]
        return q + bias, k + at, v


class Configured(Base):  # Phi-3's
    def __init__(self):
        super().__init__()
        del self.num_heads
        self.config = SimpleNamespace(num_attention_heads=HEADS)

    def split(self, x):
        n = self.config.num_attention_heads
        at = n * self.head_dim
        packed = self.qkv(x)
        return [packed[..., i * at : (i + 1) * at].unflatten(-1, (n, self.head_dim)).transpose(1, 2) for i in range(3)]


class Interleaved(Base):  # Falcon's new layout: of each key/value head its queries, its key, its value
    def __init__(self):
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim = 4, 2, 5
        self.qkv, self.proj = nn.Linear(DIM, 8 * 5), nn.Linear(20, DIM)

    def split(self, x):
        each = self.num_heads // self.num_kv_heads
        packed = self.qkv(x).unflatten(-1, (self.num_kv_heads, each + 2, self.head_dim))
        q = packed[..., :-2, :].flatten(2, 3)
        k, v = (packed[..., i, :].repeat_interleave(each, 2) for i in (-2, -1))
        return [part.transpose(1, 2) for part in (q, k, v)]


class Net(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.at, self.o = kind(), nn.Linear(DIM, 3)

    def forward(self, x):
        return self.o((x + 2 * self.at(x)).mean(1))


def made(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net(kind).eval()


@pytest.mark.parametrize("kind", [Base, Slopes, Table, Looked, Biased, Configured, Interleaved])
def test_a_head_goes_with_all_that_belongs_to_it(kind):
    model = made(kind)
    structure = find_structure(model, (X,))
    assert "at" in structure.heads, [u for u in structure.uncuttable if u.name.startswith("heads")]
    maker = MaskMaker(model, structure.targets, structure.groups)
    n = sum(t.granularity == "head" for t in structure.targets)
    gone = (Cut("at:kv1", "kv_group"),) if kind is Interleaved else (Cut("at:1", "head"), Cut("at:3", "head"))
    plan = SparsityPlan(gone)
    small = shrunk_by(model, plan, structure, maker, (X[:2],))
    equal(model, small, plan, maker, [(X,)])
    assert small.at.proj.in_features == (n - 2) * structure.heads["at"].head_dim
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
    with torch.no_grad():  # and by hand, one head
        (head,) = (c for c in (Cut("at:0", "head"),))
        if kind is not Interleaved:
            one = shrunk_by(model, SparsityPlan((head,)), structure, maker, (X[:2],))
            model.at.off = 0
            torch.testing.assert_close(one(X), model(X), rtol=1e-4, atol=1e-5)


def test_a_configuration_that_is_read_at_run_time_is_not_changed_for_other_layers():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.o = Configured(), Configured(), nn.Linear(DIM, 3)
            self.b.config = self.a.config

        def forward(self, x):
            return self.o((x + self.b(x + self.a(x))).mean(1))

    torch.manual_seed(0)
    model = Two().eval()
    structure = find_structure(model, (X,))
    assert structure.heads.keys() == {"a", "b"}
    maker = MaskMaker(model, structure.targets, structure.groups)
    plan = SparsityPlan((Cut("a:1", "head"),))
    small = shrunk_by(model, plan, structure, maker, (X[:2],))
    equal(model, small, plan, maker, [(X,)])
    assert (small.a.config.num_attention_heads, small.b.config.num_attention_heads) == (4, 5)
    assert model.a.config.num_attention_heads == 5


def test_a_table_that_comes_from_outside_is_the_reason():
    class Given(Base):
        def forward(self, x, bias):
            q, k, v = self.split(x)
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
            return self.proj(out.transpose(1, 2).flatten(2))

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.at, self.bias, self.o = Given(), nn.Parameter(torch.randn(HEADS, 1, LENGTH)), nn.Linear(DIM, 3)

        def forward(self, x):
            return self.o((x + self.at(x, self.bias)).mean(1))

    torch.manual_seed(0)
    structure = find_structure(Outer().eval(), (X,))
    (item,) = (u for u in structure.uncuttable if u.name == "heads of at")
    assert item.reason.startswith("heads can be masked, not removed: at, a Given, joins them with a tensor that keeps")
    assert "made elsewhere" in item.reason
