"""The charts of a recovery by their data."""

import pytest

from core.recovery.history import Round
from core.sensitivity.report import Estimate
from dashboard.figures.recovery import AFTER, BEFORE, BEST, degradation_figure, loss_figure, schedule_figure
from dashboard.frame.theme import LIGHT
from tests.scales import ACCURACY, PERPLEXITY

SCALE = ACCURACY
DENSE = Estimate(0.9, 0.88, 0.92, 500)


def near(value):
    return Estimate(value, value - 0.01, value + 0.02, 500)


HISTORY = (
    Round(1, 0.5, near(0.7), near(0.89), near(0.01), 10, 1.0),
    Round(2, 0.75, None, near(0.8), near(0.1), 20, 2.0),
)


def by_name(figure):
    return {trace.name: trace for trace in figure.data}


def test_a_schedule_starts_from_the_dense_model_and_goes_up_at_every_round():
    (planned,) = schedule_figure((0.5, 0.75), LIGHT).data
    assert planned.name == "planned"
    assert list(planned.x) == [0, 1, 2]
    assert list(planned.y) == [0.0, 50.0, 75.0]


def test_rounds_of_losses_stand_one_behind_the_other_as_long_as_they_were():
    # of round 1 the last step that was told of is 8, but it had 10
    figure = loss_figure([(1, 4, 2.0), (1, 8, 1.0), (2, 1, 3.0), (3, 5, 0.5)], {1: 10, 2: 20}, LIGHT)
    traces = by_name(figure)
    assert list(traces["round 1"].x) == [4, 8]
    assert list(traces["round 2"].x) == [11]
    assert list(traces["round 3"].x) == [35]
    assert list(traces["round 1"].y) == [2.0, 1.0]


def test_a_round_whose_losses_are_not_kept_leaves_its_room():
    (second,) = loss_figure([(2, 1, 3.0)], {1: 10}, LIGHT).data
    assert list(second.x) == [11]


def test_the_metric_before_and_after_training_has_interval_n_and_paired_drop():
    traces = by_name(degradation_figure(SCALE, DENSE, HISTORY, None, LIGHT))
    assert list(traces[AFTER].x) == [50.0, 75.0]
    assert list(traces[AFTER].y) == [89.0, 80.0]
    assert list(traces[AFTER].error_y.array) == pytest.approx([2.0, 2.0])
    assert list(traces[AFTER].error_y.arrayminus) == pytest.approx([1.0, 1.0])
    for words in ("round 1", "50 % of the weights gone", "89.00 % [88.00, 91.00], n = 500", "drop +1.00 points"):
        assert words in traces[AFTER].text[0]
    assert BEST not in traces


def test_what_could_not_be_measured_is_left_out_and_not_drawn_as_nothing():
    before = by_name(degradation_figure(SCALE, DENSE, HISTORY, None, LIGHT))[BEFORE]
    assert list(before.x) == [50.0]
    assert list(before.y) == [70.0]


def test_untrained_points_are_joined_to_what_their_training_gave_and_not_to_each_other():
    traces = by_name(degradation_figure(SCALE, DENSE, HISTORY, None, LIGHT))
    assert (traces[BEFORE].mode, traces[AFTER].mode) == ("markers", "lines+markers")
    assert list(traces["regained"].x) == [50.0, 50.0, None]
    assert list(traces["regained"].y) == [70.0, 89.0, None]


def test_the_best_round_is_ringed():
    best = by_name(degradation_figure(SCALE, DENSE, HISTORY, 1, LIGHT))[BEST]
    assert (list(best.x), list(best.y)) == ([50.0], [89.0])


def test_the_dense_model_is_a_line_with_its_value_also_before_the_first_round():
    figure = degradation_figure(SCALE, DENSE, (), None, LIGHT)
    assert [shape.y0 for shape in figure.layout.shapes] == [90.0]
    assert [note.text for note in figure.layout.annotations] == ["dense 90.00 %"]


def test_a_perplexity_has_a_logarithmic_axis_and_its_note_stands_at_the_exponent():
    figure = degradation_figure(PERPLEXITY, Estimate(100.0, 90.0, 110.0, 50), (), None, LIGHT)
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.annotations[0].y == 2.0
