"""The tuner computes in the browser what Python computes: the same numbers through both."""

import math
import random
from dataclasses import replace

import pytest

from core import numbers
from core.plans.plan import Cut, SparsityPlan
from core.plans.prediction import HarmCurve, Known, Link, Predictor, family_of, on_line
from core.plans.solver.knapsack import Row, least_cost, least_harm
from core.workload.metric import accuracy
from core.workload.scale import Scale
from core.workload.target import Target
from dashboard.tuner.data import known_values
from dashboard.tuner.rows import TunerRow, key_text

pytestmark = [pytest.mark.browser]
ACCURACY = accuracy().scale
LOSS = Scale("loss", "nats", False, 0.0, None)


def some_link(rng, scale):
    knots = [0.0, *sorted(rng.uniform(0.01, 8) for _ in range(20))]
    falls = [0.0, *sorted(rng.uniform(0, 0.8) for _ in knots[1:])]
    sign = -1 if scale.higher_is_better else 1
    return Link(tuple(knots), *(tuple(0.9 + sign * fall * width for fall in falls) for width in (1.0, 1.3, 0.8, 1.1)))


def some_predictor(rng, scale=ACCURACY, n=12, kinds=("weight",), apart=False):
    curves = {}
    for i in range(n):
        levels = sorted({0.0, *(round(rng.uniform(0.05, 0.97), 4) for _ in range(8))})
        harm = [0.0, *sorted(rng.expovariate(3) for _ in levels[1:])]
        curve = HarmCurve(f"layer{i}", kinds[i % len(kinds)], "magnitude", 1, tuple(levels), tuple(harm))
        curves[curve.key] = curve
    links = {family: some_link(rng, scale) for family in ("weights", "structure")} if apart else {}
    alone = some_link(rng, scale) if apart else None
    return Predictor(scale, 0.9, 100, "metric", curves, some_link(rng, scale), 0, links, alone)


def as_rows(predictor, known=lambda i: True):
    return [
        {
            "name": curve.target,
            "key": key_text(curve.granularity, curve.target),
            "family": family_of(curve.granularity),
            "levels": curve.sparsities,
            "harm": curve.harm if known(i) else None,
            "patterns": [],
        }
        for i, curve in enumerate(predictor.curves.values())
    ]


def as_model(predictor, known=None):
    return {
        "link": vars(predictor.link),
        "links": {family: vars(link) for family, link in predictor.links.items()},
        "alone": vars(predictor.alone) if predictor.alone else None,
        "known": known,
        "dense": predictor.dense,
        "higherIsBetter": predictor.scale.higher_is_better,
    }


@pytest.mark.parametrize("scale", [ACCURACY, LOSS], ids=["higher is better", "lower is better"])
def test_browser_and_python_predict_the_same_of_the_same_plan(js, scale):
    rng = random.Random(7)
    for _ in range(40):
        predictor = some_predictor(rng, scale)
        sparsities = [rng.choice((0.0, rng.uniform(0, 0.5), rng.uniform(0, 0.99))) for _ in predictor.curves]
        cuts = [Cut(c.target, "weight", s) for c, s in zip(predictor.curves.values(), sparsities, strict=True) if s]
        expected = predictor.predict(SparsityPlan(tuple(cuts)))
        found = js("predict", as_model(predictor), as_rows(predictor), sparsities)
        names = {"dropLow": "drop_low", "dropHigh": "drop_high"}
        for name in ("harm", "metric", "low", "high", "drop", "dropLow", "dropHigh"):
            assert found[name] == pytest.approx(getattr(expected, names.get(name, name)), rel=1e-9, abs=1e-12)
        # which of several is named first is the order of rows there, of the plan here
        assert [guess[-20:] for guess in found["guesses"]] == [guess[-20:] for guess in expected.guesses]


NAMES = {"dropLow": "drop_low", "dropHigh": "drop_high"}
TOLD = ("harm", "metric", "low", "high", "drop", "dropLow", "dropHigh")


@pytest.mark.parametrize("n_cut", [1, 2, 12])
def test_kinds_of_cuts_and_single_ones_count_alike_in_both(js, n_cut):
    rng = random.Random(n_cut)
    for _ in range(20):
        predictor = some_predictor(rng, kinds=("weight", "channel", "2:4"), apart=True)
        sparsities = [rng.uniform(0.1, 0.6) if i < n_cut else 0.0 for i in range(len(predictor.curves))]
        # a 2:4 has one sparsity; it is here for its family, which has no link of its own
        sparsities = [
            0.5 if s and c.granularity == "2:4" else s
            for c, s in zip(predictor.curves.values(), sparsities, strict=True)
        ]
        cuts = [
            Cut(c.target, c.granularity, s) for c, s in zip(predictor.curves.values(), sparsities, strict=True) if s
        ]
        expected = predictor.predict(SparsityPlan(tuple(cuts)))
        found = js("predict", as_model(predictor), as_rows(predictor), sparsities)
        assert found["measured"] == expected.measured
        for name in TOLD:
            assert found[name] == pytest.approx(getattr(expected, NAMES.get(name, name)), rel=1e-9, abs=1e-12)


def test_of_what_was_measured_the_browser_says_it_too(js):
    predictor = some_predictor(random.Random(2), n=4, kinds=("weight", "channel"), apart=True)
    first, second, *_ = predictor.curves.values()
    one, two = Cut(first.target, "weight", 0.5), Cut(second.target, "channel", 0.25)
    told = {
        cuts: Known(cuts, *numbers_of, n)
        for cuts, numbers_of, n in (
            ((one,), (0.8, 0.7, 0.9, 0.1, 0.05, 0.15), 500),
            ((two, one), (0.6, 0.5, 0.7, 0.3, 0.2, 0.4), 2000),
        )
    }
    told = {SparsityPlan(cuts).cuts: replace(known, cuts=SparsityPlan(cuts).cuts) for cuts, known in told.items()}
    predictor = replace(predictor, known=told)
    rows = tuner_rows_of(predictor)
    model = as_model(predictor, known_values(predictor, rows))
    for sparsities, cuts in (([0.5, 0, 0, 0], (one,)), ([0.5, 0.25, 0, 0], (one, two)), ([0.5, 0.3, 0, 0], None)):
        found = js("predict", model, as_rows(predictor), sparsities)
        plan = cuts or (one, Cut(second.target, "channel", 0.3))
        expected = predictor.predict(SparsityPlan(plan))
        assert (expected.measured is None) == (cuts is None)
        assert found["measured"] == expected.measured
        for name in TOLD:
            assert found[name] == pytest.approx(getattr(expected, NAMES.get(name, name)), rel=1e-9, abs=1e-12)


def tuner_rows_of(predictor):
    """The rows of layers as `predictor` knows them."""
    targets = [
        Target(c.target, c.granularity, "Linear", f"{c.target}.weight", (10, 1), 10) for c in predictor.curves.values()
    ]
    return [
        TunerRow(target, "magnitude", 1, c.sparsities, c.harm, 0.0)
        for target, c in zip(targets, predictor.curves.values(), strict=True)
    ]


def test_a_row_that_was_not_measured_makes_the_same_guess(js):
    predictor = some_predictor(random.Random(3), n=2)
    first, second = predictor.curves.values()
    sparsities = [0.02, second.sparsities[-1] + 0.02]
    rows = as_rows(predictor, known=lambda i: i == 1)
    kept = {second.key: second}
    python = Predictor(predictor.scale, predictor.dense, predictor.n, predictor.space, kept, predictor.link)
    plan = SparsityPlan(tuple(Cut(c.target, "weight", s) for c, s in zip((first, second), sparsities, strict=True)))
    found = js("predict", as_model(python), rows, sparsities)
    assert found["guesses"] == list(python.predict(plan).guesses)
    assert len(found["guesses"]) >= 2


def test_a_line_is_the_same_line_at_its_points_between_and_beyond(js):
    xs, ys = [0.0, 0.1, 0.5, 0.9], [0.0, 0.2, 0.1, 3.0]
    for x in (-0.5, 0.0, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 2.0):
        assert js("onLine", xs, ys, x) == pytest.approx(on_line(xs, ys, x), rel=1e-9, abs=1e-15)


def test_the_harm_within_a_tolerance_is_the_largest_whose_drop_is_bounded_by_it(js):
    rng = random.Random(5)
    for _ in range(20):
        predictor = some_predictor(rng)
        tolerance = rng.uniform(0.001, 0.7)
        link = predictor.link
        drops = [predictor.scale.drop(predictor.dense, metric) for metric in link.bound or link.metric]
        found = js("harmWithin", as_model(predictor), tolerance)
        if drops[-1] <= tolerance:
            assert found == float("inf")
        elif min(drops) > tolerance:
            assert found == float("-inf")
        else:
            bound = link.at(found, higher_is_better=True)[3]
            assert predictor.scale.drop(predictor.dense, bound) == pytest.approx(tolerance)
            assert all(drop > tolerance for harm, drop in zip(link.harm, drops, strict=True) if harm > found + 1e-9)


VALUES = (0.0, 0.00213, 0.01, 0.123, 0.924, 0.5, 1.0, 4.931, 12.5, 999.4, 31.6, 1234.5, -0.004, -0.25, 0.0004)


@pytest.mark.parametrize("scale", [ACCURACY, LOSS])
def test_numbers_read_the_same(js, scale):
    as_values = {"name": scale.name, "unit": scale.unit}
    for value in VALUES:
        assert js("dropText", as_values, value) == numbers.drop_text(scale, value)
        if value >= 0:
            assert js("metricText", as_values, value) == numbers.metric_text(scale, value)
            assert js("shareText", value / 100) == numbers.share_text(value / 100)
            assert js("amountText", "FLOP", 1e5 * value) == numbers.flops_text(1e5 * value)
            assert js("amountText", "ms", value) == f"{numbers.milliseconds_text(value / 1000)} ms"
    for sparsity in (0.0, 0.5, 0.125, 0.99999, 0.07, 0.29):
        assert f"{js('percentText', sparsity)} %" == numbers.sparsity_text(sparsity)


def problem(rng, n=9):
    rows = []
    for i in range(n):
        weights = rng.randint(50, 5000)
        levels = (0.0, *sorted(round(rng.uniform(0.05, 0.95), 3) for _ in range(5)))
        harm = (0.0, *sorted(rng.expovariate(2) for _ in levels[1:]))
        rows.append(
            {
                "name": str(i),
                "kind": "weight",
                "levels": levels,
                "harm": harm,
                "costs": {"n": [weights * (1 - s) for s in levels]},
            }
        )
    return rows


FREE = {"locked": False, "least": 0, "most": 1}


def test_steps_of_the_hulls_are_convex_and_at_each_of_them_no_plan_of_that_cost_does_less_harm(js):
    rng = random.Random(11)
    for _ in range(5):
        rows = problem(rng)
        ladder = js("makeLadder", rows, "n", [FREE] * len(rows), ["weight"])
        slopes = [step["slope"] for step in ladder["steps"]]
        assert slopes == sorted(slopes)
        given = [Row(row["name"], row["harm"], tuple(row["costs"]["n"])) for row in rows]
        for n in range(0, len(slopes) + 1, 7):
            levels = js("climb", ladder, n)
            cost = math.fsum(row.cost[level] for row, level in zip(given, levels, strict=True))
            harm = math.fsum(row.harm[level] for row, level in zip(given, levels, strict=True))
            assert least_harm(given, cost + 1e-9).harm == pytest.approx(harm, rel=1e-9, abs=1e-12)


def test_a_moving_goal_is_kept_and_is_at_most_one_step_from_the_exact_plan(js):
    rng = random.Random(13)
    for _ in range(10):
        rows = problem(rng)
        dense = sum(row["costs"]["n"][0] for row in rows)
        given = [Row(row["name"], row["harm"], tuple(row["costs"]["n"])) for row in rows]
        ladder = js("makeLadder", rows, "n", [FREE] * len(rows), ["weight"])
        saving = rng.uniform(0.1, 0.6) * dense
        n = js("stepsToSave", ladder, saving)
        levels = js("climb", ladder, n)
        cost = sum(row.cost[level] for row, level in zip(given, levels, strict=True))
        harm = sum(row.harm[level] for row, level in zip(given, levels, strict=True))
        assert cost <= dense - saving + 1e-6
        exact = least_harm(given, dense - saving)
        assert exact.harm - 1e-9 <= harm <= exact.harm + ladder["steps"][n - 1]["harm"] + 1e-9
        within = js("climb", ladder, js("stepsWithin", ladder, harm))
        assert sum(row.harm[level] for row, level in zip(given, within, strict=True)) <= harm + 1e-9
        assert least_cost(given, harm).cost <= cost + 1e-6


def test_locked_rows_rows_out_of_bounds_and_rows_that_nobody_measured_are_left_alone(js):
    rows = problem(random.Random(1), n=4)
    rows[3]["harm"] = None
    holds = [FREE, {**FREE, "locked": True}, {**FREE, "most": rows[2]["levels"][2]}, FREE]
    ladder = js("makeLadder", rows, "n", holds, ["weight"])
    levels = js("climb", ladder, len(ladder["steps"]))
    assert levels[0] == 5
    assert levels[1] is None
    assert levels[2] == 2
    assert levels[3] is None
