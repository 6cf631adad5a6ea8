"""The tuner computes in the browser what Python computes: the same numbers through both."""

import base64
import math
import random

import pytest

from core import numbers
from core.plans.plan import Cut, SparsityPlan
from core.plans.prediction import HarmCurve, Link, Predictor, on_line
from core.plans.solver.knapsack import Row, least_cost, least_harm
from core.tuning.minimum import harm_within
from core.workload.metric import accuracy
from core.workload.scale import Scale
from dashboard.tuner.component import FORMULA, joined

pytestmark = [pytest.mark.browser]
ACCURACY = accuracy().scale
LOSS = Scale("loss", "nats", False, 0.0, None)


@pytest.fixture(scope="module")
def js(chromium):
    """Call a pure function of the tuner: `js(name, *arguments)`."""
    page = chromium.new_page()
    source = base64.b64encode(joined(FORMULA).encode()).decode()
    page.evaluate(f"async () => {{ window.tuner = await import('data:text/javascript;base64,{source}') }}")
    yield lambda name, *arguments: page.evaluate("([name, given]) => tuner[name](...given)", [name, list(arguments)])
    page.close()


def some_predictor(rng, scale=ACCURACY, n=12):
    curves = {}
    for i in range(n):
        levels = sorted({0.0, *(round(rng.uniform(0.05, 0.97), 4) for _ in range(8))})
        harm = [0.0, *sorted(rng.expovariate(3) for _ in levels[1:])]
        curve = HarmCurve(f"layer{i}", "weight", "magnitude", 1, tuple(levels), tuple(harm))
        curves[curve.key] = curve
    knots = [0.0, *sorted(rng.uniform(0.01, 8) for _ in range(20))]
    falls = [0.0, *sorted(rng.uniform(0, 0.8) for _ in knots[1:])]
    sign = -1 if scale.higher_is_better else 1
    metric, low, high = ([0.9 + sign * fall * width for fall in falls] for width in (1.0, 1.3, 0.8))
    return Predictor(scale, 0.9, 100, "metric", curves, Link(tuple(knots), tuple(metric), tuple(low), tuple(high)))


def as_rows(predictor, known=lambda i: True):
    return [
        {"name": curve.target, "levels": curve.sparsities, "harm": curve.harm if known(i) else None, "patterns": []}
        for i, curve in enumerate(predictor.curves.values())
    ]


def as_model(predictor):
    return {"link": vars(predictor.link), "dense": predictor.dense, "higherIsBetter": predictor.scale.higher_is_better}


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


def test_the_harm_within_a_tolerance_is_the_same_and_predicts_that_drop(js):
    rng = random.Random(5)
    for _ in range(20):
        predictor = some_predictor(rng)
        tolerance = rng.uniform(0.001, 0.7)
        expected = harm_within(predictor, tolerance)
        found = js("harmWithin", as_model(predictor), tolerance)
        assert found == pytest.approx(expected, rel=1e-9)
        if expected < predictor.link.harm[-1]:
            assert predictor.scale.drop(predictor.dense, predictor.metric_at(expected)[0]) == pytest.approx(tolerance)


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
