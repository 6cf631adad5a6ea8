"""The choice of examples to measure a plan on, with the time that is predicted."""

from core.jobs.pace import Pace
from dashboard.screens.tune.measure.measure_form import choice_text, choices, time_text

PACE = Pace(2.0, 0.01, "the plan that was measured last: 22.0 s on 2,000 examples")


def test_all_examples_come_first_and_no_choice_has_more_than_there_are():
    assert choices(10_000) == [10_000, 500, 2_000, 5_000]
    assert choices(400) == [400]


def test_a_time_is_called_predicted_or_it_is_said_that_nobody_knows():
    assert choice_text(2_000, PACE) == "2,000 · ≈ 22 s"
    assert choice_text(2_000, None) == "2,000"
    assert time_text(10_000, PACE) == "About 1 min 42 s, predicted."
    assert time_text(500, None) == "How long is not known: nothing was timed yet."
