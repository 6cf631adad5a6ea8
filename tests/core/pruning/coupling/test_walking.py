"""Walks of Torch-Pruning end, in time and memory, and say so; what they find is what they found without bounds."""

import tracemalloc

import pytest
import torch
import torch_pruning
from torch import nn
from torch.nn import functional as F

from core import find_structure
from core.pruning.coupling import walking
from core.pruning.coupling.walking import TooTangledError, Walker
from tests.tiny_models import ConvNet, seeded


class Merging(nn.Module):
    """Swin's merging of patches: every second place, side by side."""

    def __init__(self, dim):
        super().__init__()
        self.reduction, self.norm = nn.Linear(4 * dim, 2 * dim, bias=False), nn.LayerNorm(4 * dim)

    def forward(self, x):
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        parts = [x[..., i::2, j::2, :] for j in (0, 1) for i in (0, 1)]
        return self.reduction(self.norm(torch.cat(parts, -1)))


class Windows(nn.Module):
    """Attention in shifted windows as torchvision writes it, with the weights handed to functions."""

    def __init__(self, dim, heads, shift):
        super().__init__()
        self.num_heads, self.shift = heads, shift
        self.norm, self.qkv, self.proj = nn.LayerNorm(dim), nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x):
        n, h, w, c = x.shape
        y = torch.roll(self.norm(x), (-self.shift, -self.shift), (1, 2)) if self.shift else self.norm(x)
        y = y.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        qkv = F.linear(y, self.qkv.weight, self.qkv.bias)
        q, k, v = qkv.reshape(len(y), 4, 3, self.num_heads, c // self.num_heads).permute(2, 0, 3, 1, 4)
        y = (torch.softmax(q @ k.transpose(-2, -1), -1) @ v).transpose(1, 2).reshape(-1, 4, c)
        y = F.linear(y, self.proj.weight, self.proj.bias)
        y = y.view(n, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        x = x + (torch.roll(y, (self.shift, self.shift), (1, 2)) if self.shift else y)
        return x + self.mlp(x)


class Last(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1)


def swin():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 4, 4), Last(), nn.LayerNorm(16), Windows(16, 2, 0), Windows(16, 2, 1), Merging(16),
        Windows(32, 4, 0), Windows(32, 4, 1), nn.LayerNorm(32), nn.Flatten(1), nn.Linear(512, 5),
    ).eval()  # fmt: skip


def test_merged_patches_come_to_an_end_in_little_memory():
    x = torch.randn(2, 3, 32, 32)
    tracemalloc.start()
    structure = find_structure(swin(), (x,))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert {"3.mlp.1", "7.mlp.1"} <= set(structure.groups)
    assert sum(t.granularity == "head" for t in structure.targets) == 12
    reasons = {u.reason for u in structure.uncuttable if u.name.startswith("channels of")}
    assert not any("Error" in reason for reason in reasons)


def test_the_bounds_are_counts_and_the_answer_is_the_same_every_time():
    x = torch.randn(2, 3, 32, 32)
    first, second = (find_structure(swin(), (x,)) for _ in range(2))
    assert first.uncuttable == second.uncuttable
    assert {g: group.slices for g, group in first.groups.items()} == {g: s.slices for g, s in second.groups.items()}


@pytest.mark.parametrize("name", ["FEWEST_POSITIONS", "LONGEST"])
def test_positions_are_bounded(monkeypatch, name):
    graph = torch_pruning.DependencyGraph()
    model = seeded(ConvNet)
    graph.build_dependency(model, torch.randn(2, 1, 8, 8))
    monkeypatch.setattr(walking, "MOST_POSITIONS", 0)
    monkeypatch.setattr(walking, name, 0)
    module = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    with pytest.raises(TooTangledError):
        Walker(graph).group_of(module, module.out_channels)


def test_a_bounded_walk_finds_what_an_unbounded_one_finds():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(10, 4, 1)
            self.bn, self.fc = nn.BatchNorm2d(10), nn.Linear(4 * 16, 3)

        def forward(self, x):
            y = torch.cat([self.a(x), self.b(x)], 1)
            return self.fc((self.c(torch.relu(self.bn(y))) + self.a(x)).flatten(1))

    model = Joined().eval()
    graph = torch_pruning.DependencyGraph()
    graph.build_dependency(model, torch.randn(2, 3, 4, 4))
    for module in (model.a, model.b, model.c):
        start = graph.get_pruner_of_module(module).prune_out_channels
        n = list(range(module.out_channels))
        right = [(i.dep.target.name, i.idxs, i.root_idxs) for i in graph.get_pruning_group(module, start, n)]
        ours = [(i.dep.target.name, i.idxs, i.root_idxs) for i in Walker(graph).group_of(module, len(n))]
        assert ours == right
