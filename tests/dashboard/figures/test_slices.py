"""The figure of slices, by its data."""

from core import Estimate
from core.sensitivity.slices import SliceDrop
from core.workload.metric import accuracy, perplexity
from dashboard.figures.slices import slices_figure
from dashboard.frame.theme import LIGHT

WORSE, UNSURE, BETTER = Estimate(0.5, 0.25, 1.0, 8), Estimate(0.0, -0.25, 0.5, 8), Estimate(-0.5, -0.75, -0.25, 4)


def drops(*estimates):
    return [SliceDrop(value, 1, one, one) for value, one in zip(("cat", 7, "dog", "fox"), estimates, strict=False)]


def test_each_slice_is_a_point_on_its_interval_in_the_unit_of_the_metric():
    (points,) = slices_figure(accuracy().scale, drops(WORSE, UNSURE, None, BETTER), LIGHT).data
    assert list(points.x) == [50, 0, -50]
    assert list(points.error_x.array) == [50, 50, 25]
    assert list(points.error_x.arrayminus) == [25, 25, 25]
    assert list(points.customdata) == ["cat", "7", "fox"]  # one without a drop is no point at 0
    assert "+50.00 points [+25.00, +100.00], n = 8" in points.text[0]
    assert list(slices_figure(perplexity().scale, drops(WORSE), LIGHT).data[0].x) == [0.5]


def test_warm_is_worse_and_what_the_data_cannot_tell_is_quiet():
    (points,) = slices_figure(accuracy().scale, drops(WORSE, UNSURE, BETTER), LIGHT).data
    assert list(points.marker.color) == [LIGHT.lines[1], LIGHT.mark, LIGHT.lines[0]]
