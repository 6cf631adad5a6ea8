"""Gated units with one projection: both halves of a channel go together."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core import Cut, SparsityPlan
from core.pruning.equality import compared
from core.pruning.masks import MaskMaker
from core.pruning.structure import find_structure
from core.pruning.surgery import shrunk_copy
from core.pruning.wearing import pruned_copy


class Gated(nn.Module):
    """SwiGLU in a residual; `halves` cuts what `up` makes in two."""

    def __init__(self, halves):
        super().__init__()
        self.up, self.down, self.halves = nn.Linear(8, 24), nn.Linear(12, 8), halves

    def forward(self, x):
        gate, value = self.halves(self.up(x))
        return x + self.down(F.silu(gate) * value)


class Net(nn.Module):
    def __init__(self, halves):
        super().__init__()
        self.gated, self.fc = Gated(halves), nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(self.gated(x))


HALVES = {
    "chunk": lambda h: h.chunk(2, dim=-1),
    "split": lambda h: h.split(h.shape[-1] // 2, dim=-1),
    "slices": lambda h: (h[..., : h.shape[-1] // 2], h[..., h.shape[-1] // 2 :]),
}


@pytest.mark.parametrize("shape", [(3, 8), (3, 5, 8)], ids=str)
@pytest.mark.parametrize("halves", HALVES.values(), ids=HALVES)
def test_both_halves_of_a_channel_are_one_unit(halves, shape):
    torch.manual_seed(0)
    model, x = Net(halves).eval(), torch.randn(shape)
    structure = find_structure(model, (x,))
    group = structure.groups["gated.up"]
    assert group.target.n_units == 12
    assert group.slices[0].positions[3] == (3, 15)
    plan = SparsityPlan((Cut("gated.up", "channel", 0.5),))
    maker = MaskMaker(model, structure.targets, structure.groups)
    shrunk = shrunk_copy(model, plan, maker, structure.heads, {})
    assert compared(pruned_copy(model, maker.cut_tensors(plan)), shrunk, [(x,)]).largest <= 1e-5
    assert (shrunk.gated.up.out_features, shrunk.gated.down.in_features) == (12, 6)


def test_neighbours_that_are_multiplied_are_not_taken_for_halves():
    model = Net(lambda h: (h[..., ::2], h[..., 1::2])).eval()
    structure = find_structure(model, (torch.randn(3, 5, 8),))
    assert "gated.up" not in structure.groups
    assert "channels of gated.up" in [item.name for item in structure.uncuttable]


def test_two_layers_that_read_a_half_each_need_not_lose_the_same():
    class Apart(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.left, self.right = nn.Linear(8, 24), nn.Linear(12, 3), nn.Linear(12, 3)

        def forward(self, x):
            a, b = self.up(x).chunk(2, dim=-1)
            return self.left(a.relu()) + self.right(b.relu())

    structure = find_structure(Apart().eval(), (torch.randn(3, 8),))
    assert len(structure.groups) == 2
    assert all(len(positions) == 1 for group in structure.groups.values() for positions in group.slices[0].positions)
