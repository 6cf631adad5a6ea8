"""The chart of plans by its data: measured and predicted never share a mark."""

from core.plans.prediction import Prediction
from core.sensitivity.report import Estimate
from core.workload.metric import accuracy
from dashboard.figures.plans import FRONT, MEASURED, PRESENT, MeasuredPoint, PredictedPoint, plans_figure
from dashboard.frame.theme import LIGHT

SCALE = accuracy().scale


def point(name, cost, drop):
    return MeasuredPoint(name, "hand", "masked", cost, Estimate(drop, drop - 0.01, drop + 0.02, 500))


POINTS = (point("small", 0.25, 0.05), point("beaten", 0.5, 0.06), point("large", 0.75, 0.01))
PREDICTION = Prediction(1.0, 0.85, 0.8, 0.89, 0.03, 0.01, 0.08, ("stem was not measured at so high a sparsity",))


PREDICTED = PredictedPoint(0.3, PREDICTION)


def traces(points=POINTS, present=PREDICTED):
    return {trace.name: trace for trace in plans_figure(points, present, SCALE, "non-zeros", LIGHT).data}


def test_the_front_joins_the_measured_plans_to_which_no_other_is_preferable():
    front = traces()[FRONT]
    assert list(front.x) == [25.0, 75.0]
    assert list(front.y) == [5.0, 1.0]


def test_measured_plans_carry_their_interval_name_maker_and_n():
    measured = traces()[MEASURED]
    assert list(measured.x) == [25.0, 50.0, 75.0]
    assert [round(value, 6) for value in measured.error_y.array] == [2.0, 2.0, 2.0]
    assert [round(value, 6) for value in measured.error_y.arrayminus] == [1.0, 1.0, 1.0]
    for word in ("small", "made by: hand", "n = 500", "25 % of the non-zeros left"):
        assert word in measured.text[0]


def test_the_prediction_has_a_mark_of_its_own_is_on_no_front_and_says_why_it_is_a_guess():
    found = traces()
    present = found[PRESENT]
    assert present.marker.symbol == "diamond-open"
    assert found[MEASURED].marker.symbol is None
    assert 30.0 not in found[FRONT].x
    assert "predicted, not measured" in present.text[0]
    assert "? stem was not measured at so high a sparsity" in present.text[0]
    assert PRESENT not in traces(present=None)


def test_with_nothing_measured_the_prediction_stands_alone():
    found = traces(points=())
    assert list(found[FRONT].x) == []
    assert list(found[PRESENT].x) == [30.0]
