"""Kept plans in words."""

import dataclasses
from typing import get_args

import pytest

from core import Cut, Estimate, SparsityPlan
from core.jobs.known import plan_words
from core.jobs.known.kept_plan import KeptPlan, KeptPrediction, MadeBy, MeasuredPlan, PlanResult
from core.plans.costs.left import Cost
from core.plans.costs.totals import Totals
from core.plans.prediction import Link, Prediction, Predictor
from core.tuning.goal import Goal, Solved
from tests.scales import ACCURACY

SCALE, PLAN = ACCURACY, SparsityPlan((Cut("fc", "weight", 0.5),))
FORESEEN = Prediction(1.0, 0.89, 0.88, 0.9, 0.01, 0.0, 0.02)


def measured(drop, state="measured", prediction=FORESEEN):
    kept = KeptPlan(
        "m", PLAN, "hand", None, 0.0, prediction=KeptPrediction(prediction, "f", 0.0) if prediction else None
    )
    dense = Estimate(0.9, 0.8, 1.0, 2000)
    found = None if drop is None else Estimate(drop, drop - 0.005, drop + 0.005, 2000)
    reason = "3 of 2000 scores are NaN or infinite" if drop is None else None
    return MeasuredPlan(kept, PlanResult("r", "f", "masked", 0.0, SCALE, state, reason, dense, found, found, 1, 2))


def test_every_maker_has_a_word():
    assert set(plan_words.MADE_BY) == {*get_args(MadeBy), None}


@pytest.mark.parametrize(
    ("drop", "texts"),
    [
        (0.0125, ("+1.25 [+0.75, +1.75], n = 2,000", "+0.25", "inside")),
        (0.03, ("+3.00 [+2.50, +3.50], n = 2,000", "+2.00", "worse")),
        (-0.01, ("−1.00 [−1.50, −0.50], n = 2,000", "−2.00", "better")),
    ],
)
def test_a_measured_plan_beside_what_was_predicted(drop, texts):
    one = measured(drop)
    assert (plan_words.measured_text(one), plan_words.gap_text(one), plan_words.inside_text(one)) == texts


def test_no_effect_and_a_failure_have_no_number_and_no_gap():
    nothing, failed = measured(0.0, "no effect"), measured(None, "failed")
    assert plan_words.measured_text(nothing) == "no effect, n = 2,000"
    assert plan_words.measured_text(failed) == "failed: 3 of 2000 scores are NaN or infinite"
    for one in (nothing, failed, measured(0.01, prediction=None)):
        assert plan_words.gap_text(one) == plan_words.inside_text(one) == ""


def test_a_guess_is_marked():
    assert plan_words.predicted_text(SCALE, FORESEEN) == "+1.00 [0.00, +2.00]"
    guess = Prediction(1.0, 0.89, 0.88, 0.9, 0.01, 0.0, 0.02, ("beyond",))
    assert plan_words.predicted_text(SCALE, guess) == "+1.00 [0.00, +2.00]?"


def test_a_plan_is_called_by_its_id_and_its_name():
    one = measured(0.0).kept
    assert plan_words.plan_title(one) == one.id
    assert plan_words.plan_title(KeptPlan("m", PLAN, None, None, 0.0, "small")) == f"{one.id}, “small”"


@pytest.mark.parametrize(
    ("before", "after", "texts"),
    [
        (Cut("a", "weight", 0.5), None, ("50 %", "stays")),
        (Cut("a", "2:4"), None, ("2:4", "stays")),
        (Cut("a:0", "head"), None, ("removed", "stays")),
        (Cut("a", "block"), None, ("skipped", "stays")),
        (Cut("a", "weight", 0.5), Cut("a", "weight", 0.5, "random"), ("50 % by magnitude", "50 % by random")),
        (
            Cut("a", "channel", 0.5, align=4),
            Cut("a", "channel", 0.5),
            ("50 %, a multiple of 4 stays", "50 %, a multiple of 1 stays"),
        ),
    ],
)
def test_two_sides_of_a_difference(before, after, texts):
    assert (plan_words.side_text(before, after), plan_words.side_text(after, before)) == texts


def test_totals_say_where_they_are_not_exact_and_what_cannot_be_cut():
    exact, about = Totals(8, 16, True, 0, True, False), Totals(9, 16, False, 0, True, False, ("fc has too few",))
    assert plan_words.totals_lines(("a", "b"), (exact, about)) == [
        "a removes 8 of 16 cuttable weights (50 %)",
        "b removes about 9 of 16 cuttable weights (56 %)",
        "b: fc has too few",
    ]
    assert plan_words.removed_share(8, 16) == "50 %"
    assert plan_words.removed_share(8, 16, exact=False) == "≈ 50 %"


@pytest.mark.parametrize(
    ("drop", "text"),
    [
        (0.0125, "0.25 points worse than predicted, inside the interval"),
        (0.03, "2.00 points worse than predicted, outside the interval"),
        (-0.01, "2.00 points better than predicted, outside the interval"),
        (0.01, "just as predicted, inside the interval"),
    ],
)
def test_the_gap_in_words(drop, text):
    assert plan_words.gap_words(measured(drop)) == text


def test_what_was_predicted_is_told_on_the_examples_that_were_measured():
    # a drop of 1 point [0, 2] off a dense model of 90 %
    assert plan_words.foreseen_metric(measured(0.0125)) == pytest.approx((0.89, 0.88, 0.9))
    assert plan_words.foreseen_metric(measured(0.0125, prediction=None)) is None


def test_what_became_of_a_plan_is_one_sentence():
    one = measured(0.0125)
    pruned = Estimate(0.8875, 0.88, 0.895, 2000)
    one = dataclasses.replace(one, result=dataclasses.replace(one.result, metric=pruned))
    assert plan_words.outcome_text(one) == (
        "predicted 89.00 % [88.00, 90.00], measured 88.75 % [88.00, 89.50], n = 2,000: "
        "0.25 points worse than predicted, inside the interval"
    )
    alone = dataclasses.replace(one, kept=dataclasses.replace(one.kept, prediction=None))
    assert plan_words.outcome_text(alone) == "nobody predicted it, measured 88.75 % [88.00, 89.50], n = 2,000"
    nothing = dataclasses.replace(one, result=dataclasses.replace(one.result, state="no effect"))
    assert plan_words.outcome_text(nothing).endswith("n = 2,000: no effect")
    assert plan_words.outcome_text(measured(None, "failed")).startswith("failed: 3 of 2000 scores")


def test_a_goal_is_told_as_it_was_asked_beside_what_was_reached():
    plan = SparsityPlan((Cut("fc", "weight", 0.5),))
    solved = Solved(plan, FORESEEN, Cost(498_500.0, True), 1_000_000.0, True, True, 0.0)
    share, size = Goal("bytes", 0.5), Goal("bytes", 0.4999, size=499_900)
    assert plan_words.goal_text(SCALE, share) == "at most 50 % of the bytes"
    assert plan_words.reached_text(share, solved) == "49.85 % of the dense model's; 50 % was asked"
    assert plan_words.goal_text(SCALE, size) == "at most 500 kB, 49.99 % of the dense model's bytes"
    assert plan_words.reached_text(size, solved) == "49.85 % of the dense model's; 500 kB was asked"
    assert plan_words.reached_text(Goal("bytes", tolerance=0.01), solved) == "49.85 % of the dense model's"


def test_flops_of_zeros_say_that_they_save_nothing_and_without_cuts_nothing_is_predicted():
    solved = Solved(PLAN, FORESEEN, Cost(50.0, True), 100.0, True, True, 0.0)
    predictor = Predictor(SCALE, 0.9, 100, "metric", {}, Link((0.0, 1.0), (0.9, 0.8), (0.9, 0.8), (0.9, 0.8)))
    assert plan_words.ZEROS_NOTE in plan_words.solved_lines("m", "3f2a", predictor, Goal("flops", 0.5), solved)
    assert plan_words.ZEROS_NOTE not in plan_words.solved_lines("m", "3f2a", predictor, Goal("nonzeros", 0.5), solved)
    (line,) = plan_words.prediction_lines(predictor, predictor.predict(SparsityPlan()))
    assert line == "no cuts: the dense model itself, measured accuracy 90.00 %, n = 100"
