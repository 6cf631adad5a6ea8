"""Numbers of weights are rounded, and a map says so where that makes a difference."""

from core.plans.plan import Cut
from core.sensitivity.report import CellResult
from core.sensitivity.sweep_words import counts_text


def cell(target, sparsity, n_removed, n_weights):
    return CellResult(Cut(target, "weight", sparsity, "magnitude"), n_removed, n_weights)


def test_the_smallest_layer_where_rounding_shows_is_told():
    cells = [cell("stem", 0.95, 137, 144), cell("fc", 0.33, 330, 1000), cell("conv", 0.95, 547, 576)]
    text = counts_text(cells)
    assert text is not None
    assert "stem at 95 % loses 137 of 144 weights, not 136" in text


def test_nothing_is_said_where_every_share_is_whole():
    assert counts_text([cell("fc", 0.5, 500, 1000)]) is None
    assert counts_text([]) is None
