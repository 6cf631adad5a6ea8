"""What n can tell, before it is spent."""

from dataclasses import replace

import numpy as np
import pytest

from core import Scale
from core.sensitivity.request import SweepRequest
from core.sensitivity.search.enough import default_n, least_high, least_n, useful_n
from core.sensitivity.statistics.intervals import drop_estimate, tango
from core.sensitivity.sweep_words import enough_text, unseen_text

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0.0, high=1.0)
GRADE = Scale("grade", "points", higher_is_better=True, low=0.0, high=100.0)
NATS = Scale("loss", "nats", higher_is_better=False, low=0.0, high=None)


@pytest.mark.parametrize(("tolerance", "least"), [(0.01, 381), (0.02, 189), (0.05, 73)])
def test_the_least_n_is_where_tango_s_upper_end_with_nothing_changed_comes_within(tolerance, least):
    assert least_n(ACCURACY, tolerance) == least
    assert tango(0, 0, least)[1] <= tolerance < tango(0, 0, least - 1)[1]
    assert least_high(ACCURACY, least) == pytest.approx(tango(0, 0, least)[1])


def test_scores_of_another_range_follow_the_rule_of_three():
    least = least_n(GRADE, 1.0)
    assert least == 300
    assert drop_estimate(GRADE, np.full(least, 50.0), np.full(least, 50.0)).high == pytest.approx(1.0)
    assert useful_n(GRADE, 1.0) == 800


def test_where_there_is_no_range_or_no_tolerance_nothing_is_known():
    assert least_n(NATS, 0.1) is None
    assert least_n(ACCURACY, 0.0) is None
    assert least_n(ACCURACY, 1.5) == 2
    assert enough_text(NATS, 0.1, 300) is None


def test_words_say_what_n_cannot_tell_and_how_many_can():
    assert enough_text(ACCURACY, 0.01, 300) == (
        "300 examples cannot tell ±1.00 points: where a cut changes nothing the interval still reaches 1.26; "
        "381 at least, about 1,000 to be of use"
    )
    assert "next to nothing; about 1,000" in (enough_text(ACCURACY, 0.01, 400) or "")
    assert enough_text(ACCURACY, 0.01, 1000) is None
    assert "fewer than 3.6 %" in (unseen_text(NATS, 100) or "")
    assert unseen_text(NATS, 300) is unseen_text(ACCURACY, 100) is None


def test_a_search_for_a_tolerance_takes_as_many_examples_as_are_of_use_for_it():
    search = SweepRequest("m", mode="tolerance", tolerance=0.01)
    assert default_n(search, ACCURACY, 400, 10_000) == 1000
    assert default_n(search, ACCURACY, 2000, 10_000) == 2000
    assert default_n(search, ACCURACY, 400, 700) == 700  # as far as there are
    assert default_n(search, ACCURACY, None, 700) is None
    assert default_n(search, NATS, 400, 700) == 400
    assert default_n(replace(search, tolerance=None), ACCURACY, 400, 10_000) == 1000  # one point is usual
    assert default_n(SweepRequest("m", mode="race", width=0.1), ACCURACY, 400, 10_000) == 400
    assert default_n(SweepRequest("m"), ACCURACY, 400, 10_000) == 400
    assert default_n(SweepRequest("m"), ACCURACY, 400, 100) == 100
