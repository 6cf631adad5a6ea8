"""What a profile says, and when it may say it: values, intervals, words."""

import json
import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from core import SecateurError
from core.profiling.paired import median_interval, quartiles, rank_of_bounds
from core.profiling.report import (
    LayerCost,
    Machine,
    ProfileReport,
    Saving,
    Size,
    SpeedRatio,
    Timing,
    Unavailable,
)
from core.profiling.request import ProfileRequest

REPORT = ProfileReport(
    "net",
    Machine("a cpu", 2, "Linux x86_64", "cpu", "2.13.0"),
    (Size("dense", 8, 8, 16.0, 100, 90, None, 4), Size("masked", 8, 4, None, 100, 50, 64, 4)),
    (
        Timing("dense", "eager", 4, 1, 30, 5, 0.002, 0.001, 0.003),
        Timing("masked", "eager", 4, 1, 30, 5, 0.001, 0.001, 0.002),
        Timing("masked", "eager", 4, 2, 30, 5, 0.001, 0.001, 0.002),
    ),
    (SpeedRatio("masked", "eager", 4, 1, 1.9, 1.5, 2.5, 30),),
    (LayerCost("fc", 8, 16.0, 0.001, 1.0, 4, 1), LayerCost("fc", 8, 16.0, None, None, 1, 1)),
    (Unavailable("masked", "onnx", 4, None, "it has no such operator"),),
    (Saving("fc", 0.5, 4, 1, 0.0005, -0.001, 0.001, 30),),
)


def test_a_report_survives_a_trip_through_json():
    document = json.loads(json.dumps(REPORT.to_json()))
    assert document["ratios"][0]["verdict"] == "faster"
    assert document["sizes"][0]["peak_bytes"] is None  # not measured is not 0
    assert ProfileReport.from_json(document) == REPORT
    assert ProfileReport.from_json({**document, "model": "of a run"}) == REPORT


def test_a_timing_finds_its_ratio_and_a_batch_its_layers():
    dense, masked, other = REPORT.timings
    assert [REPORT.ratio_of(one) for one in (dense, masked, other)] == [None, REPORT.ratios[0], None]
    assert [layer.seconds for layer in REPORT.layers_at(4)] == [0.001]
    assert REPORT.layers_at(64) == ()


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (1.01, 1.2, "faster"),
        (1.0, 1.2, "no faster here"),  # the interval holds 1
        (0.9, 1.9, "no faster here"),
        (0.8, 1.0, "no faster here"),
        (0.8, 0.99, "slower"),
    ],
)
def test_faster_is_said_only_where_the_whole_interval_is(low, high, word):
    assert SpeedRatio("masked", "eager", 1, 1, (low + high) / 2, low, high, 30).verdict == word


def test_the_interval_of_a_median_by_hand():
    assert median_interval([1, 2, 3, 4, 5]) is None  # min and max miss in 2/32, more than 5 %
    six = median_interval([6.0, 1.0, 5.0, 2.0, 4.0, 3.0])
    assert (six.value, six.low, six.high, six.n) == (3.5, 1, 6, 6)  # 2/64
    thirty = median_interval(list(range(1, 31)))
    assert (thirty.value, thirty.low, thirty.high) == (15.5, 10, 21)  # as in the tables of the sign test


@given(st.integers(1, 400))
def test_the_ranks_are_the_narrowest_that_miss_in_one_of_twenty(n):
    k = rank_of_bounds(n)
    miss = [2 * stats.binom.cdf(below, n, 0.5) for below in range(n)]  # an independent reference
    assert k is None or miss[k - 1] <= 0.05 + 1e-12
    assert miss[k or 0] > 0.05 - 1e-12


def test_quartiles_by_hand():
    assert quartiles([4.0, 1.0, 3.0, 2.0, 5.0]) == (2, 3, 4)
    assert quartiles([7.0]) == (7, 7, 7)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"batch_sizes": ()}, "batch_sizes must be several values such as \\(1, 64\\)"),
        ({"batch_sizes": 8}, "batch_sizes must be several values"),
        ({"batch_sizes": (0,)}, "a batch size must be a whole number of at least 1"),
        ({"batch_sizes": (1.5,)}, "a batch size must be a whole number"),
        ({"threads": (0,)}, "threads must be a whole number of at least 1"),
        ({"threads": (True,)}, "threads must be a whole number"),
        ({"engines": "eager"}, "engines must be several values"),
        ({"engines": ("tensorrt",)}, "no engine 'tensorrt'; choose of eager, compile, onnx"),
        ({"rounds": 5}, "rounds must be a whole number of at least 6 \\(fewer make no 95 % interval\\); got 5"),
        ({"seconds": 0}, "seconds must be a number above 0"),
        ({"seconds": math.inf}, "seconds must be a number above 0"),
        ({"seconds": "long"}, "seconds must be a number above 0"),
        ({"savings": 0.5}, "savings must be several fractions"),
        ({"savings": (50,)}, "Divide by 100"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(fields, said):
    with pytest.raises(SecateurError, match=said):
        ProfileRequest(**fields)


def test_a_request_survives_a_trip_through_json_and_names_a_setting_once():
    request = ProfileRequest((8, 1, 8), (None, 2), ["onnx"], 12, 3, (0.9, 0.5, 0.0))
    assert (request.batch_sizes, request.engines, request.savings) == ((8, 1), ("onnx",), (0.5, 0.9))
    assert ProfileRequest.from_json(json.loads(json.dumps(asdict(request)))) == request
