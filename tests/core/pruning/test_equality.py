"""Equal means equal where it counts: nothing in an output may blind the comparison to the rest of it."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from core.pruning.equality import NotEqualError, compared, distance, terms_of

X = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """A hidden layer, and what `show` makes of its output."""

    def __init__(self, show=lambda z, x: z):
        super().__init__()
        self.a, self.b, self.show = nn.Linear(8, 32), nn.Linear(32, 5), show
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))

    def forward(self, x):
        return self.show(self.b(torch.relu(self.a(x))), x)


def pair(show, by=0.0):
    """A model, and one that adds up in another order; `by` is added to one weight of it besides."""
    theirs, ours = Net(show).eval(), Net(show).eval()
    with torch.no_grad():
        order = torch.randperm(32, generator=torch.Generator().manual_seed(2))
        ours.a.weight.copy_(theirs.a.weight[order])
        ours.a.bias.copy_(theirs.a.bias[order])
        ours.b.weight.copy_(theirs.b.weight[:, order])
        ours.b.weight[:, 0] += by
    return theirs, ours


def illegal(low):
    return lambda z, x: z.masked_fill(x[:, :5] > 0.3, low)


@dataclass
class Nothing:
    name: str = "nothing"


SHOWN = {
    "logits": lambda z, x: z,
    "illegal −1e4": illegal(-1e4),
    "illegal −1e9": illegal(-1e9),
    "illegal −1e30": illegal(-1e30),
    "illegal smallest": lambda z, x: z.masked_fill(x[:, :5] > 0.3, torch.finfo(z.dtype).min),
    "illegal −inf": illegal(-math.inf),
    "added −1e4": lambda z, x: z + -1e4 * (x[:, :5] > 0.3),
    "added −1e9": lambda z, x: z + -1e9 * (x[:, :5] > 0.3),
    "pixels beside scores": lambda z, x: torch.cat([640 * z[:, :4].sigmoid(), z[:, 4:].sigmoid()], 1),
    "pixels and scores": lambda z, x: {"boxes": 2000 * z[:, :4].sigmoid(), "scores": z[:, 4:].sigmoid()},
    "tiny": lambda z, x: 1e-6 * z,
    "a choice beside": lambda z, x: (z, z.argmax(1)),
    "NaN beside": lambda z, x: torch.cat([z, torch.full_like(z, math.nan)], 1),
}


@pytest.mark.parametrize("shown", SHOWN)
def test_another_order_of_adding_up_is_equal(shown):
    theirs, ours = pair(SHOWN[shown])
    assert compared(theirs, ours, [(X,), (X[:3],)]).n == 19


@pytest.mark.parametrize("shown", SHOWN)
def test_a_weight_that_is_off_by_a_thousandth_is_not(shown):
    theirs, ours = pair(SHOWN[shown], by=1e-3)
    with pytest.raises(NotEqualError, match="apart"):
        compared(theirs, ours, [(X,)])


@pytest.mark.parametrize(
    "show",
    [
        lambda z, x: z.argmax(1),
        lambda z, x: torch.full_like(z, math.nan),
        lambda z, x: torch.full_like(z, -math.inf),
        lambda z, x: Nothing(),
        lambda z, x: z[:0],
    ],
    ids=["a choice", "NaN", "infinite", "no tensor", "no example"],
)
def test_what_cannot_tell_is_not_equal(show):
    with pytest.raises(NotEqualError, match="no number can tell"):
        compared(*pair(show), [(X,)])


def test_the_size_of_what_was_added_up_is_told_by_rounding():
    class Sums(nn.Module):
        def forward(self, x):  # 1e6 + x - 1e6 is x, but rounds as a million does
            return torch.stack([x.sum(1), (x + 1e6).sum(1) - 8e6], 1)

    small, large = terms_of(Sums(), (X,))[0].flatten().tolist()
    assert small < 100
    assert 1e5 < large < 1e8


def test_a_place_at_which_rounding_happens_to_be_small_is_held_to_what_is_usual_along_its_lines():
    net = Net(lambda z, x: torch.cat([(z[..., :1] + 1e6) - 1e6, (z[..., 1:] + 1e3) - 1e3], -1)).eval()
    terms = terms_of(net, (torch.randn(1, 64, 8, generator=torch.Generator().manual_seed(3)),))[0]
    large, small = terms[..., :1], terms[..., 1:]
    assert small.min() > small.median() / 30  # one draw of rounding a place: of 256, some are next to nothing by chance
    assert small.max() < large.median() / 30  # and no score is excused by a coordinate beside it


def test_without_that_the_largest_entry_that_differs_counts():
    assert distance(torch.tensor([-1e9, 1.0, 2.0]), torch.tensor([-1e9, 1.0, 2.5])) == pytest.approx(0.5 / 2)
    assert distance(torch.tensor([1.0]), torch.tensor([math.nan])) == math.inf
    assert distance(torch.tensor([1.0]), torch.tensor([1.0, 2.0])) is None
    assert distance(torch.tensor([1, 2]), torch.tensor([1, 3])) == math.inf
    assert distance(torch.tensor([1.0, math.nan]), torch.tensor([1.0, math.nan])) == 0
