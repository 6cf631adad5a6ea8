"""The figure of where the time goes, by its data."""

import pytest

from core.profiling.report import LayerCost
from dashboard.figures.costs import MOST, costs_figure
from dashboard.frame.theme import DARK, LIGHT


def layer(name, parameters, flops, share):
    return LayerCost(name, parameters, flops, None if share is None else share / 1000, share, 8, 1)


THREE = (layer("a", 30, 0.0, 0.5), layer("b", 10, 3e6, 0.375), layer("c", 0, 1e6, 0.125))


def test_each_layer_has_a_bar_for_its_share_of_each_kind_in_the_order_given():
    figure = costs_figure(THREE, LIGHT)
    assert [bar.name for bar in figure.data] == ["parameters", "FLOPs", "milliseconds"]
    assert [list(bar.x) for bar in figure.data] == [[75, 25, 0], [0, 75, 25], [50, 37.5, 12.5]]
    assert list(figure.layout.yaxis.ticktext) == ["a", "b", "c"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # the first layer is on top
    assert figure.layout.barmode == "group"
    assert figure.data[2].text[0] == "0.500 ms a pass"
    assert figure.data[1].text[1] == "3 MFLOP an example"
    assert figure.layout.xaxis.title.text == "share of the model, %"


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_the_three_kinds_have_three_colours_of_the_theme(colours):
    shades = [bar.marker.color for bar in costs_figure(THREE, colours).data]
    assert len(set(shades)) == 3
    assert set(shades) <= set(colours.lines)


def test_what_was_not_measured_has_no_bar_and_not_one_of_0():
    figure = costs_figure([layer("a", 3, 0.0, None), layer("b", 1, 0.0, None)], LIGHT)
    assert list(figure.data[1].x) == [None, None]  # no operation was counted at all
    assert list(figure.data[2].x) == [None, None]
    assert figure.data[2].text[0] == "not timed"


def test_of_many_layers_the_large_ones_are_drawn_and_the_others_are_told():
    many = [layer(f"layer{i}", 100 if i == 150 else 1, 1.0, 0.0 if i else 1.0) for i in range(200)]
    figure = costs_figure(many, LIGHT)
    names = list(figure.layout.yaxis.ticktext)
    assert len(names) == MOST
    assert names[0] == "layer0"  # most time
    assert "layer150" in names  # most parameters
    assert names == sorted(names, key=lambda name: int(name.removeprefix("layer")))
    assert "160 smaller layers, not drawn: 54 % of the parameters, 80 % of the FLOPs" in figure.layout.xaxis.title.text
    few = costs_figure(THREE, LIGHT).layout.height
    assert (figure.layout.height - few) / (MOST - 3) == 30  # a row stays as high


def test_nothing_can_be_drawn():
    assert list(costs_figure([], LIGHT).data[0].x) == []
