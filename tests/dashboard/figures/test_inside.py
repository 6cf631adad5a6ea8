"""Figures of the map inside a plan, by their data."""

import pytest

from core import Cut, Estimate, SparsityPlan
from core.sensitivity.inside.report import Distance, Moved, PlaceDamage, RowWorth, UndoReport
from dashboard.figures.inside import damage_figure, undo_figure
from dashboard.figures.map_marks import PALE
from dashboard.frame.theme import LIGHT
from tests.scales import ACCURACY

A, B, C = (Cut(name, "weight", 0.5) for name in "abc")
ROWS = (
    RowWorth(A, Moved("measured", Estimate(0.125, -0.125, 0.25, 100)), {"nonzeros": 0.5}),
    RowWorth(B, Moved("measured", Estimate(0.25, 0.125, 0.5, 100)), {"nonzeros": 0.5}),
    RowWorth(C, Moved("failed", reason="no head is left"), {"nonzeros": 0.5}),
)
REPORT = UndoReport("r", "m", ACCURACY, SparsityPlan((A, B, C)), "nonzeros", None, None, True, ROWS)


def test_bars_stand_in_the_order_of_the_map_and_are_pale_where_the_data_cannot_tell():
    figure = undo_figure(REPORT, {A: Estimate(0.5, 0.25, 0.75, 50)}, LIGHT)
    bars, alone = figure.data
    assert list(bars.x) == [25, 12.5]
    assert [list(bars.error_x.arrayminus), list(bars.error_x.array)] == [[12.5, 25], [25, 12.5]]
    assert list(bars.marker.opacity) == [1, PALE]
    assert [name.strip() for name in figure.layout.yaxis.ticktext] == ["b at 50 %", "a at 50 %"]
    assert (list(alone.x), list(alone.y)) == ([50], [1])
    assert bars.text[0] == "worth 25.00 points [+12.50, +50.00], costs 50 %"


def test_without_a_sweep_nothing_stands_beside_the_bars():
    assert len(undo_figure(REPORT, {}, LIGHT).data) == 1


def test_damage_is_alone_as_bars_and_accumulated_as_a_line_of_layers():
    damage = (
        PlaceDamage("one", "layer", None, Distance(1.0, 0.0)),
        PlaceDamage("block", "block", Distance(0.5, 0.5), Distance(0.5, 0.5)),
        PlaceDamage("two", "layer", Distance(0.75, 0.25), Distance(None, 0.5)),
    )
    bars, line = damage_figure(damage, LIGHT).data
    assert list(bars.y) == [None, 25]
    assert list(line.y) == pytest.approx([0, 50])
    assert "cosine –, alone 0.7500" in line.text[1]
