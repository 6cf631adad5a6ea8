"""Reasons why channels cannot go: true, and in words of the model."""

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from core.pruning.structure import find_structure


class Parts(nn.Module):
    """Layers by name, and a forward pass over them."""

    def __init__(self, forward, **parts):
        super().__init__()
        self._run = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self._run(self, x)


def conv(n_in, n_out):
    return nn.Conv2d(n_in, n_out, 3, padding=1)


class OwnLSTM(nn.LSTM):
    """Does more than torch's."""

    def forward(self, x):
        return super().forward(2 * x)


IMAGE, SEQUENCE = torch.randn(4, 3, 8, 8), torch.randn(4, 5, 6)
CASES = {
    "pixel shuffle": (
        lambda: Parts(lambda m, x: m.b(F.pixel_shuffle(m.a(x), 2)), a=conv(3, 16), b=conv(4, 3)),
        IMAGE, "a pixel shuffle",
    ),
    "pixel unshuffle": (
        lambda: Parts(lambda m, x: m.b(F.pixel_unshuffle(m.a(x), 2)), a=conv(3, 8), b=conv(32, 3)),
        IMAGE, "a pixel unshuffle",
    ),
    "a chunk of which one half is convolved": (
        lambda: Parts(
            lambda m, x: m.c(torch.cat([(h := m.a(x).chunk(2, 1))[0], m.b(h[1])], 1)), a=conv(3, 16), b=conv(8, 8),
            c=conv(16, 3),
        ),
        IMAGE, "a chunk",
    ),
    "a padded shortcut": (
        lambda: Parts(
            lambda m, x: m.c(m.b(h := m.a(x)) + F.pad(h, (0, 0, 0, 0, 4, 4))), a=conv(3, 8), b=conv(8, 16),
            c=conv(16, 3),
        ),
        IMAGE, "a padding",
    ),
    "an LSTM with a forward of its own": (
        lambda: Parts(lambda m, x: m.o(m.b(F.relu(m.a(x)))[0]), a=nn.Linear(6, 8), b=OwnLSTM(8, 4), o=nn.Linear(4, 2)),
        SEQUENCE, "b, a OwnLSTM, reads its channels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_reason_names_what_the_channels_go_through(name):
    make, x, words = CASES[name]
    found = find_structure(make().eval(), (x,))
    reasons = {item.name: item.reason for item in found.uncuttable}
    reason = reasons.get("channels of a", "")
    if "a" in found.groups:
        pytest.fail("offered")
    assert words in reason
    assert not re.search("IndexError|what the model gives", reason)


@pytest.mark.parametrize(
    "last",
    [
        lambda m, x: m.o(m.a(x)),
        lambda m, x: F.softmax(m.o(m.a(x)), -1),
        lambda m, x: m.norm(m.o(m.a(x))),
        lambda m, x: m.o(m.a(x)).flatten(1),
    ],
    ids=["plain", "softmax", "norm", "flat"],
)
def test_only_what_the_model_gives_is_called_so(last):
    model = Parts(last, a=nn.Linear(6, 8), o=nn.Linear(8, 4), norm=nn.BatchNorm1d(5)).eval()
    reasons = {item.name: item.reason for item in find_structure(model, (SEQUENCE,)).uncuttable}
    assert reasons["channels of o"] == "no layer reads its channels: they are what the model gives"
