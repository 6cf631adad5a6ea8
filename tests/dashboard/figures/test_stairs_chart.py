"""Milliseconds against width, by the figure's data."""

import pytest

from core.plans.costs.stairs import Stair, Step
from dashboard.figures.costs import EngineLine, stairs_figure
from dashboard.frame.theme import palette

STAIR = Stair(16, (Step(4, 0.8, 0.79, 0.82), Step(8, 0.8, 0.78, 0.81), Step(15, 1.2, 1.19, 1.25)))


def test_each_engine_is_a_line_in_milliseconds_with_intervals_and_full_marks_at_the_ends_of_steps():
    figure = stairs_figure(
        [EngineLine("onnx", 0.002, STAIR), EngineLine("ncnn", 0.001, STAIR)], "channel", palette(None), 8
    )
    first, second = figure.data
    assert (first.name, second.name) == ("onnx", "ncnn")
    assert list(first.x) == [4, 8, 15, 16]
    assert list(first.y) == pytest.approx([1.6, 1.6, 2.4, 2.0])
    assert list(second.y) == pytest.approx([0.8, 0.8, 1.2, 1.0])
    assert list(first.marker.symbol) == ["circle-open", "circle", "circle-open", "circle"]
    assert list(first.error_y.array) == pytest.approx([0.04, 0.02, 0.1, 0.0])
    assert list(first.error_y.arrayminus) == pytest.approx([0.02, 0.04, 0.02, 0.0])
    assert first.line.color != second.line.color
    assert [shape.x0 for shape in figure.layout.shapes] == [8]  # what the plan leaves now
    assert figure.layout.xaxis.title.text == "channels left"


def test_without_a_plan_there_is_no_line_across():
    assert not stairs_figure([EngineLine("onnx", 0.002, STAIR)], "head", palette(None)).layout.shapes
