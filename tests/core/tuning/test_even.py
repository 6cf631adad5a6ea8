"""Even plans: every layer of a kind loses the same number; the best of them, as trying every plan shows."""

from collections import Counter
from dataclasses import replace
from itertools import product

import pytest

from core.errors import SecateurError
from core.plans.costs.left import plan_cost
from core.plans.plan import SparsityPlan
from core.plans.prediction import HarmCurve, Link, Predictor
from core.plans.solver.knapsack import Row
from core.plans.solver.problem import posed
from core.plans.solver.rules import Rule, Rules
from core.plans.units import n_units_removed
from core.tuning.even import kinds_of
from core.tuning.goal import Goal, solve
from core.tuning.plan_rows import plan_rows
from core.tuning.refined_plan import Budget, Refining
from core.workload.description import Description
from core.workload.scale import Scale
from core.workload.target import Member, Target

LOSS = Scale("loss", "nats", False, None, None)
AT = (0.0, 10.0)
HEADS, LAYERS = 3, 2
EVEN = Rules().evened()
# harm of each head, and of half and three quarters of the channels, of each layer
HEAD_HARM = ((0.1, 0.9, 0.5), (0.8, 0.2, 0.3))
WIDTH_HARM = ((0.1, 0.6), (0.4, 0.5))
POOLER = Target(
    "pooler", "channel", "Linear", "pooler.weight", (4, 8), 32, n_units=4, members=(Member("pooler", "outputs"),)
)


def targets():
    found = []
    for i in range(LAYERS):
        attn, mlp = f"layers.{i}.attn", f"layers.{i}.mlp"
        for name, shape in ((f"{attn}.o", (6, 12)), (f"{mlp}.up", (8, 12)), (f"{mlp}.down", (12, 8))):
            found.append(Target(name, "weight", "Linear", f"{name}.weight", shape, shape[0] * shape[1]))
        found += [
            Target(f"{attn}:{h}", "head", "Attention", f"{attn}.o.weight", (6, 12), 24, layer=attn, head=h)
            for h in range(HEADS)
        ]
        members = (Member(f"{mlp}.up", "outputs"), Member(f"{mlp}.down", "inputs"))
        found.append(
            Target(f"{mlp}.up", "channel", "Linear", f"{mlp}.up.weight", (8, 12), 192, n_units=8, members=members)
        )
    found.append(Target("pooler", "weight", "Linear", "pooler.weight", (4, 8), 32))
    return (*found, POOLER)


def curves(skip=()):
    found = []
    for i in range(LAYERS):
        found += [
            HarmCurve(f"layers.{i}.attn:{h}", "head", None, 1, (0.0, 1.0), (0.0, HEAD_HARM[i][h])) for h in range(HEADS)
        ]
        points = (0.0, 0.5, 0.75), (0.0, *WIDTH_HARM[i])
        found.append(HarmCurve(f"layers.{i}.mlp.up", "channel", "magnitude", 1, *points))
    found.append(HarmCurve("pooler", "channel", "magnitude", 1, (0.0, 0.5), (0.0, 0.0)))
    found = [one for one in found if one.target not in skip]
    return Predictor(LOSS, 0.0, 100, "metric", {one.key: one for one in found}, Link(AT, AT, AT, AT))


def described():
    found = targets()
    n = sum(target.n_weights for target in found if target.granularity == "weight")
    return Description("x", "x", "f", LOSS, 10, None, None, 10, n, found, ())


@pytest.fixture(autouse=True)
def few_levels(monkeypatch):
    monkeypatch.setattr("core.tuning.plan_rows.GRID", (0.5, 0.75))


def numbers(plan):
    """Of each layer how many heads and channels a plan takes."""
    units = {target.name: target for target in targets() if target.granularity == "channel"}
    counts = Counter()
    for cut in plan.cuts:
        if cut.granularity == "head":
            counts[cut.target.rpartition(":")[0]] += 1
        else:
            counts[cut.target] += n_units_removed(units[cut.target], cut.sparsity, cut.align)
    return counts


def is_even(plan):
    counts = numbers(plan)
    return counts["layers.0.attn"] == counts["layers.1.attn"] and counts["layers.0.mlp.up"] == counts["layers.1.mlp.up"]


def every_even_plan(predictor, found):
    rows = plan_rows(predictor, found, SparsityPlan(), ("channel", "head"))
    for levels in product(*(range(len(row.sparsities)) for row in rows)):
        cuts = [row.cut(level) for row, level in zip(rows, levels, strict=True)]
        plan = SparsityPlan(tuple(cut for cut in cuts if cut is not None))
        if is_even(plan) and not numbers(plan)["pooler"]:
            yield plan


@pytest.mark.parametrize("left", [0.95, 0.8, 0.65, 0.5])
def test_no_even_plan_is_predicted_to_cost_less(left):
    found, predictor = described(), curves()
    solved = solve(Goal("parameters", left), predictor, found, rules=EVEN)
    dense = plan_cost(SparsityPlan(), found, "parameters").value
    within = [
        predictor.predict(plan).harm
        for plan in every_even_plan(predictor, found)
        if plan_cost(plan, found, "parameters").value <= left * dense
    ]
    assert is_even(solved.plan)
    assert solved.plan.cuts
    assert solved.feasible
    assert solved.prediction.harm == pytest.approx(min(within))


def test_without_the_rule_it_would_not_be_even():
    plans = [solve(Goal("parameters", left), curves(), described()).plan for left in (0.95, 0.8, 0.65)]
    assert not all(map(is_even, plans))


def test_what_stands_in_no_block_stays_and_it_is_said():
    solved = solve(Goal("parameters", 0.5), curves(), described(), rules=EVEN)
    assert "pooler" not in {cut.target for cut in solved.plan.cuts}
    assert solved.notes == (
        "channels of pooler stay whole, for no numbered block holds them: they have no layers to be like",
    )


def test_heads_that_go_are_those_that_harm_least_whichever():
    solved = solve(Goal("parameters", tolerance=0.35), curves(), described(), rules=EVEN, granularities=("head",))
    assert sorted(cut.target for cut in solved.plan.cuts) == ["layers.0.attn:0", "layers.1.attn:1"]


def test_a_head_that_must_stay_or_go_counts():
    never = Rules((Rule("never", row="layers.0.attn:0"),)).evened()
    solved = solve(Goal("parameters", tolerance=0.8), curves(), described(), rules=never, granularities=("head",))
    assert sorted(cut.target for cut in solved.plan.cuts) == ["layers.0.attn:2", "layers.1.attn:1"]
    must = Rules((Rule("bounds", row="layers.1.attn:2", least=1.0),)).evened()
    solved = solve(Goal("parameters", tolerance=0.5), curves(), described(), rules=must, granularities=("head",))
    assert sorted(cut.target for cut in solved.plan.cuts) == ["layers.0.attn:0", "layers.1.attn:2"]


def test_what_cannot_be_even_is_told():
    rules = Rules(
        (Rule("never", pattern=r"layers\.0\.attn"), Rule("bounds", row="layers.1.attn:2", least=1.0))
    ).evened()
    solved = solve(Goal("parameters", tolerance=5.0), curves(), described(), rules=rules, granularities=("head",))
    assert not solved.plan.cuts
    assert any("are even, and no number suits all; 0 of each is nearest" in note for note in solved.notes)


@pytest.mark.parametrize("skip", [("layers.1.mlp.up",), tuple(f"layers.0.attn:{h}" for h in range(HEADS))])
def test_a_layer_that_was_not_measured_is_named(skip):
    with pytest.raises(
        SecateurError, match=r"are to be cut alike, and .*layers\.\d\.\S+ was not measured, or is held by"
    ):
        solve(Goal("parameters", 0.8), curves(skip), described(), rules=EVEN)


def test_other_alignments_are_told():
    predictor = curves(("layers.1.mlp.up",))
    odd = HarmCurve("layers.1.mlp.up", "channel", "magnitude", 4, (0.0, 0.5), (0.0, 0.1))
    with pytest.raises(SecateurError, match=r"they were swept with --align 1 and 4; sweep all with one"):
        solve(
            Goal("parameters", 0.8),
            replace(predictor, curves={**predictor.curves, odd.key: odd}),
            described(),
            rules=EVEN,
        )


def test_heads_that_are_tied_cannot_be_even_too():
    rules = Rules((Rule("tied", pattern=r"attn:0"),)).evened()
    with pytest.raises(SecateurError, match=r"a rule ties layers\.0\.attn:0, and its heads are to be even"):
        solve(Goal("parameters", 0.8), curves(), described(), rules=rules)


def test_of_weights_it_says_nothing():
    found, weights = described(), HarmCurve("layers.0.mlp.up", "weight", "magnitude", 1, (0.0, 0.9), (0.0, 0.1))
    predictor = replace(curves(), curves={weights.key: weights})
    solved = solve(Goal("nonzeros", 0.9), predictor, found, rules=EVEN)
    assert solved.plan.cuts
    assert solved.notes == (
        "even layers are of channels and heads: weights become zeros, of which no configuration speaks",
    )


def test_stages_of_other_widths_are_other_kinds():
    found = described()
    wide = tuple(
        replace(t, n_units=16) if t.name == "layers.1.mlp.up" and t.granularity == "channel" else t
        for t in found.targets
    )
    rows = plan_rows(curves(), found, SparsityPlan(), ("channel",))
    kinds, _ = kinds_of(rows, replace(found, targets=wide), EVEN)
    assert [kind.name for kind in kinds] == [
        "channels of layers.*.mlp.up (8)", "channels of layers.*.mlp.up (16)", "channels of pooler (4)",
    ]  # fmt: skip


def test_refining_goes_from_even_plan_to_even_plan():
    refining = Refining(curves(), described(), Budget("parameters", 0.7, rules=EVEN))
    seen = []

    def measure(plan):
        seen.append(plan)
        return 1.0 + 0.1 * len(plan.cuts)

    best, _ = refining.refined(measure, 2)
    assert all(map(is_even, (refining.start, best, *seen)))
    assert len(seen) > 2


def test_rules_without_kinds_are_as_before():
    a, b = Row("a", (0.0, 1.0), (2.0, 1.0)), Row("b", (0.0, 1.0), (2.0, 1.0))
    assert posed([a, b], ((0.0, 0.5),) * 2, [0, 0], EVEN) == posed([a, b], ((0.0, 0.5),) * 2, [0, 0], Rules())
