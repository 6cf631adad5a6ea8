"""What the tuner's head says and how that is known, and what memory it counts while a slider moves."""

import dataclasses
import random

import pytest

from core.jobs.known.kept_plan import KeptPlan, KeptPrediction, MeasuredPlan, PlanResult
from core.plans.costs.left import plan_cost
from core.plans.plan import Cut, SparsityPlan
from core.plans.prediction import Prediction, on_dense
from core.sensitivity.report import Estimate
from core.workload.description import Description, Held, MemoryUse, keys_of, queries_of
from core.workload.metric import accuracy
from core.workload.scale import Scale
from core.workload.target import Target
from dashboard.tuner.data import known_values, model_values
from dashboard.tuner.memory import memory_values
from dashboard.tuner.rows import tuner_rows

pytestmark = [pytest.mark.browser]
ACCURACY = accuracy().scale
LOSS = Scale("loss", "nats", False, 0.0, None)
DENSE = Estimate(0.9268, 0.9215, 0.9317, 10_000)


def attention(layer, n, n_kv):
    heads = [Target(f"{layer}:{i}", "head", "A", f"{layer}.o", (8, 8), 8, layer=layer, head=i) for i in range(n)]
    groups = [
        Target(f"{layer}:kv{i}", "kv_group", "A", f"{layer}.o", (8, 8), 16, layer=layer, head=i) for i in range(n_kv)
    ]
    return [*heads, *(groups if n_kv < n else ())]


def channels(name, n, parts=1):
    return Target(name, "channel", "Linear", f"{name}.weight", (n, 4), 4 * n, n_units=n, n_parts=parts)


def test_memory_is_counted_at_all_moments_as_python_counts_it(js):
    targets = [channels("a", 10), channels("b", 12, 2), channels("block.c", 9), *attention("gqa", 4, 2)]
    targets += [*attention("mha", 3, 3), Target("block", "block", "B", "", (1,), 1)]
    names = ("a", "b", "block.c", keys_of("gqa"), queries_of("gqa"), keys_of("mha"))
    rng = random.Random(5)
    held = tuple(
        Held(born, born + rng.randint(1, 3), rng.choice((4.0, 8.0)), ((40.0, ((name, 4.0), ("a", 0.5))),))
        for born in range(8) for name in rng.sample(names, 2)
    )  # fmt: skip
    found = Description("m", "m", "f" * 64, ACCURACY, 100, None, None, 100, 330, tuple(targets), ())
    found = dataclasses.replace(found, memory=MemoryUse(held, names))
    peaks = set()
    for _ in range(60):
        cuts = [
            Cut(t.name, t.granularity, rng.choice((0.1, 0.25, 0.5, 0.8)) if t.granularity == "channel" else None)
            for t in targets if rng.random() < (0.1 if t.granularity == "block" else 0.4)
        ]  # fmt: skip
        plan = SparsityPlan(tuple(cuts))
        rows = tuner_rows(found, plan)
        given = [{"name": row.target.name, "kind": row.target.granularity} for row in rows]
        told = js("peakOf", memory_values(found, rows), given, [row.sparsity for row in rows])
        assert told == pytest.approx(plan_cost(plan, found, "memory").value, abs=1)
        peaks.add(told)
    assert len(peaks) > 10
    assert memory_values(dataclasses.replace(found, memory=None), rows) is None


@pytest.mark.parametrize(("scale", "dense"), [(ACCURACY, 0.0121), (LOSS, 2.5)], ids=["accuracy", "loss"])
def test_a_prediction_stands_beside_one_dense_metric_in_both(js, scale, dense):
    model = {"scale": {"low": scale.low, "high": scale.high}, "higherIsBetter": scale.higher_is_better}
    for drop, low, high in ((0.01, -0.02, 0.05), (0.0, 0.0, 0.0)):
        expected = on_dense(scale, dense, Prediction(1.0, 0.0, 0.0, 0.0, drop, low, high))
        told = js("onDense", {**model, "basis": {"value": dense}}, {"drop": drop, "dropLow": low, "dropHigh": high})
        assert (told["metric"], told["low"], told["high"]) == pytest.approx(expected)


WEIGHT = Target("fc", "weight", "Linear", "fc.weight", (4, 4), 16)
OTHER = Target("out", "weight", "Linear", "out.weight", (4, 4), 16)
FOUND = Description("m", "m", "f" * 64, ACCURACY, 100, None, None, 100, 330, (WEIGHT, OTHER), ())


def measured(plan, drop, n, before=None):
    kept = KeptPlan("m", plan, "hand", None, 0.0, prediction=KeptPrediction(before, "f", 0.0) if before else None)
    half = 0.004
    metric = Estimate(DENSE.value - drop, DENSE.value - drop - half, DENSE.value - drop + half, n)
    told = Estimate(drop, drop - half, drop + half, n)
    dense = dataclasses.replace(DENSE, n=n)
    return MeasuredPlan(
        kept, PlanResult("r", "f", "masked", 0.0, ACCURACY, "measured", None, dense, metric, told, 1, 2)
    )


def head(js, plan, at, results):
    """Texts of the head for the rows standing at `at`."""
    rows = tuner_rows(FOUND, plan)
    model = model_values(ACCURACY, (), None, rows)
    model |= {"basis": dataclasses.asdict(DENSE), "known": known_values(None, rows, plan, results)}
    patterns = [[{"key": cut.key} for cut in row.patterns] for row in rows]
    given = [{"key": row.key, "patterns": cuts} for row, cuts in zip(rows, patterns, strict=True)]
    n_cuts = sum(one > 0 for one in at) + sum(map(len, patterns))
    return js("toldTexts", model, js("measuredOf", model, given, at), n_cuts)


def test_of_a_measured_plan_the_head_says_what_was_measured_with_n_and_the_prediction_beside(js):
    plan = SparsityPlan((Cut("fc", "weight", 0.5), Cut("out", "weight", 0.25)))
    before = Prediction(1.0, 0.91, 0.9, 0.92, 0.012, 0.0, 0.02)
    told = head(js, plan, [0.5, 0.25], [measured(plan, 0.017, 10_000, before)])
    assert told["how"] == "measured"
    texts = told["texts"]
    assert (texts["how"], texts["metric"]) == ("measured", "90.98 %")
    assert texts["metricInterval"] == "[90.58, 91.38], n = 10,000"
    assert texts["metricOf"] == "dense 92.68 %, same examples"
    assert (texts["drop"], texts["dropInterval"]) == ("+1.70 points", "[+1.30, +2.10], n = 10,000, paired")
    assert texts["dropOf"] == "predicted before: +1.20 [0.00, +2.00]"
    # on fewer examples that is said, and with the slider elsewhere nothing was measured
    texts = head(js, plan, [0.5, 0.25], [measured(plan, 0.017, 500)])["texts"]
    assert texts["metricOf"] == "dense 92.68 % on these; dense 92.68 %, n = 10,000"
    assert head(js, plan, [0.5, 0.3], [measured(plan, 0.017, 500)])["how"] == "unknown"


def test_patterns_count_and_repaired_plans_are_others(js):
    plan = SparsityPlan((Cut("fc", "2:4"),))
    assert head(js, plan, [0, 0], [measured(plan, 0.02, 10_000)])["how"] == "measured"
    assert head(js, plan, [0, 0.5], [measured(plan, 0.02, 10_000)])["how"] == "unknown"
    assert head(js, plan, [0, 0], [measured(dataclasses.replace(plan, repair="full"), 0.02, 100)])["how"] == "unknown"


def test_without_cuts_it_is_the_dense_model_and_nothing_is_predicted(js):
    told = head(js, SparsityPlan(), [0, 0], [])
    assert told["how"] == "dense"
    assert told["texts"]["metric"] == "92.68 %"
    assert told["texts"]["metricInterval"] == "[92.15, 93.17], n = 10,000"
    assert told["texts"]["dropInterval"] == "no cuts: the dense model itself"
