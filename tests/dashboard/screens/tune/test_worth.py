"""What stands beside the tuner's rows once the map inside the plan was measured."""

from core import Cut, Estimate, SparsityPlan
from core.sensitivity.inside.report import Moved, RowWorth, UndoReport
from core.workload.scale import Scale
from core.workload.target import Target
from dashboard.tuner.rows import TunerRow
from dashboard.tuner.worth import worth_values

ACCURACY = Scale("accuracy", "fraction", higher_is_better=True, low=0, high=1)
ROWS = tuple(
    TunerRow(Target(name, "weight", "Linear", f"{name}.weight", (10, 10), 100), "magnitude", 1, (0.0, 1.0), None, 0.5)
    for name in "abc"
)
CUTS = (Cut("a", "weight", 0.5), Cut("b", "2:4"))
PLAN = SparsityPlan(CUTS, "m")


def report():
    gains = (Estimate(0.008, -0.002, 0.018, 100), Estimate(0.02, 0.01, 0.03, 100))
    rows = tuple(
        RowWorth(cut, Moved("measured", gain), {"nonzeros": 0.03}) for cut, gain in zip(CUTS, gains, strict=True)
    )
    return UndoReport("r", "m", ACCURACY, PLAN, "nonzeros", None, None, True, rows)


def test_each_row_of_the_tuner_says_what_it_is_worth_and_what_it_costs():
    told = worth_values(report(), PLAN, ROWS)
    assert told["exact"]
    a, b, c = told["rows"]
    assert a[:2] == ["worth 0.80·", "costs 3 %"]  # it may be 0
    assert b[:2] == ["worth 2.00", "costs 3 %"]  # of a pattern, beside the weight that it is of
    assert b[2] == "b at 2:4: worth 2.00 points [+1.00, +3.00], costs 3 % of the non-zeros"
    assert (a[3], b[3]) == (1, 2)  # the first of the map is the largest
    assert (a[4], b[4]) == (False, True)
    assert c is None


def test_the_map_of_another_plan_is_not_said_to_be_of_this_one():
    assert not worth_values(report(), SparsityPlan(CUTS[:1], "m"), ROWS)["exact"]
    assert worth_values(None, PLAN, ROWS) is None
