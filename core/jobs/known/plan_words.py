"""Kept plans in words: who made them, what was predicted, what measured. Shared by command line and dashboard."""

from collections.abc import Sequence
from datetime import datetime

from core import numbers
from core.jobs.known.kept_plan import KeptPlan, MadeBy, MeasuredPlan
from core.plans import cut_words
from core.plans.costs.left import Cost, Kind, plan_cost
from core.plans.costs.memory import pass_text
from core.plans.costs.totals import Totals
from core.plans.diff import PlanDifference
from core.plans.plan import STRUCTURED, Cut, SparsityPlan
from core.plans.prediction import Prediction, Predictor, on_dense
from core.plans.repairs import repair_words
from core.tuning.goal import Goal, Solved
from core.workload.description import Description
from core.workload.scale import Scale

MADE_BY: dict[MadeBy | None, str] = {
    "hand": "hand",
    "file": "file",
    "limits": "limits",
    "uniform": "uniform",
    "baseline": "baseline",
    "anchor": "anchor",
    "solver": "solver",
    "minimise": "minimise",
    "refine": "refine",
    None: "not known",
}

PLANS_NOTE = (
    "Drops in {unit}, positive = worse than dense on the same examples; measured ones are paired, with their 95 % "
    "interval and n. Gap: measured − predicted; the prediction was made before. ? a guess, beyond what was measured."
)
ABOUT_NOTE = "≈ as far as the plan's lines tell."


def plan_title(one: KeptPlan) -> str:
    """`3f2a91bc, "small"`, or the id alone; with the plan's repair, if it has one."""
    title = f"{one.id}, “{one.name}”" if one.name else one.id
    return f"{title}, {repair_words(one.plan.repair)}" if one.plan.repair else title


def when_text(seconds: float) -> str:
    """`2026-05-01 14:30`, in local time."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def predicted_text(scale: Scale, prediction: Prediction) -> str:
    """`+1.20 [+0.80, +1.90]`, the predicted drop; with `?` where it is a guess."""
    low, high = (numbers.drop_text(scale, bound) for bound in (prediction.drop_low, prediction.drop_high))
    return f"{numbers.drop_text(scale, prediction.drop)} [{low}, {high}]" + ("?" if prediction.guesses else "")


def measured_text(one: MeasuredPlan) -> str:
    """`+1.25 [+0.60, +1.95], n = 2,000`, the measured drop; or why there is none."""
    scale, drop = one.result.scale, one.result.drop
    if drop is None:
        return f"{one.result.state}: {one.result.reason}"
    if one.result.state == "no effect":
        return f"no effect, n = {drop.n:,}"
    return f"{numbers.drop_text(scale, drop.value)} {numbers.drop_interval(scale, drop)}, n = {drop.n:,}"


def gap_text(one: MeasuredPlan) -> str:
    """`+0.05`, measured minus predicted; empty where nobody predicted, or nothing was measured."""
    return "" if one.gap is None else numbers.drop_text(one.result.scale, one.gap)


def inside_text(one: MeasuredPlan) -> str:
    """Whether the measured drop lies in the predicted interval: `inside`, `worse`, `better`; empty without a gap."""
    if one.gap is None:
        return ""
    return "inside" if one.is_inside else "worse" if one.gap > 0 else "better"


def gap_words(one: MeasuredPlan) -> str:
    """`0.20 points worse than predicted, inside the interval`; empty where there is no gap."""
    if one.gap is None:
        return ""
    scale = one.result.scale
    size = numbers.drop_text(scale, abs(one.gap)).lstrip("+")
    side = "worse" if one.gap > 0 else "better"
    much = f"{size} {numbers.drop_unit(scale)} {side} than predicted" if one.gap else "just as predicted"
    return f"{much}, {'inside' if one.is_inside else 'outside'} the interval"


def foreseen_metric(one: MeasuredPlan) -> tuple[float, float, float] | None:
    """The predicted metric and its 95 % interval, low first, on the examples that the plan was measured on.

    See `core.plans.prediction.on_dense`. `None` where nobody predicted.
    """
    if one.predicted is None:
        return None
    return on_dense(one.result.scale, one.result.dense.value, one.predicted)


def outcome_text(one: MeasuredPlan) -> str:
    """`predicted 91.60 % [91.00, 92.10], measured 91.40 % [90.90, 91.90], n = 10,000: 0.20 points worse than …`."""
    scale, metric, foreseen = one.result.scale, one.result.metric, foreseen_metric(one)
    if metric is None:
        return measured_text(one)
    told = f"measured {numbers.metric_with_interval(scale, metric)}"
    if foreseen is None:
        return f"nobody predicted it, {told}"
    value, low, high = (numbers.metric_text(scale, bound) for bound in foreseen)
    guess = " (a guess)" if one.predicted and one.predicted.guesses else ""
    said = f"predicted {value} [{low.split(' ')[0]}, {high.split(' ')[0]}]{guess}, {told}"
    return f"{said}: {gap_words(one)}" if one.gap is not None else f"{said}: {one.result.state}"


def removed_share(n_removed: int, n_weights: int, exact: bool = True) -> str:
    """`50 %` of the weights that can be cut; `≈` where it is not counted from masks."""
    return ("" if exact else "≈ ") + numbers.share_text(n_removed / max(1, n_weights))


def side_text(cut: Cut | None, other: Cut | None) -> str:
    """One side of a difference: `50 %`, `2:4`, `removed`, `stays`; criterion and alignment where those differ."""
    if cut is None:
        return "stays"
    if cut.sparsity is None:
        return "skipped" if cut.granularity == "block" else "removed"
    text = cut_words.removed_text(cut)
    if other is not None and cut.criterion != other.criterion:
        text += f" by {cut.criterion}"
    if other is not None and cut.align != other.align:
        text += f", a multiple of {cut.align} stays"
    return text


def difference_title(one: PlanDifference) -> str:
    """`stem`, `channels of stem`."""
    return f"channels of {one.target}" if one.granularity == "channel" else one.target


def totals_lines(names: Sequence[str], totals: Sequence[Totals]) -> list[str]:
    """What each of two plans removes: `A removes 36 of 72 cuttable weights (50 %)`."""
    lines = []
    for name, found in zip(names, totals, strict=True):
        about = "" if found.exact else "about "
        share = numbers.share_text(found.n_removed / max(1, found.n_weights))
        lines.append(f"{name} removes {about}{found.n_removed:,} of {found.n_weights:,} cuttable weights ({share})")
        lines += [f"{name}: {reason}" for reason in found.impossible]
    return lines


def prediction_lines(predictor: Predictor, prediction: Prediction) -> list[str]:
    """What a prediction says, on what it rests, and what makes it a guess."""
    scale = predictor.scale
    low, high = sorted((prediction.low, prediction.high))
    if prediction.measured is not None:
        return [
            f"measured {scale.name} {numbers.metric_text(scale, prediction.metric)} "
            f"[{numbers.metric_text(scale, low)}, {numbers.metric_text(scale, high)}], n = {prediction.measured:,}; "
            f"dense, measured: {numbers.metric_text(scale, predictor.dense)}, n = {predictor.n:,}",
            f"measured drop {predicted_text(scale, prediction)} ({numbers.drop_unit(scale)})",
            "This very plan was measured: nothing is predicted.",
        ]
    if prediction.drop_low == prediction.drop_high == 0 == prediction.harm:
        return [
            f"no cuts: the dense model itself, measured {scale.name} {numbers.metric_text(scale, predictor.dense)}, "
            f"n = {predictor.n:,}"
        ]
    rests = f"curves of single cuts, n = {predictor.n:,}"
    rests += f", and {predictor.n_plans} measured plan{'' if predictor.n_plans == 1 else 's'}"
    lines = [
        f"predicted {scale.name} {numbers.metric_text(scale, prediction.metric)} "
        f"[{numbers.metric_text(scale, low)}, {numbers.metric_text(scale, high)}]; "
        f"dense, measured: {numbers.metric_text(scale, predictor.dense)}",
        f"predicted drop {predicted_text(scale, prediction)} ({numbers.drop_unit(scale)})",
        f"From {rests}. 95 % of such plans should lie in the interval, on examples that nobody saw yet.",
    ]
    if prediction.drop_bound is not None:
        lines.insert(
            2,
            f"nine of ten such plans stay within {numbers.drop_text(scale, prediction.drop_bound)}"
            f" ({numbers.drop_unit(scale)})",
        )
    if not predictor.n_plans:
        lines.append("No plan was measured: how cuts interact is taken from other models. `secateur anchors` measures.")
    return lines + [f"A guess: {reason}." for reason in prediction.guesses]


COST_WORDS: dict[Kind, str] = {
    "nonzeros": "non-zeros",
    "parameters": "parameters",
    "flops": "FLOPs",
    "bytes": "bytes",
    "memory": "memory",
    "milliseconds": "milliseconds",
}


ZEROS_NOTE = (
    "FLOPs of zeros count as saved here, but engines for dense matrices save nothing by them: only channels, heads and "
    "blocks that are taken out do."
)


def cost_words(kind: Kind, engine: str | None = None) -> str:
    """`FLOPs`, `milliseconds`, `milliseconds on onnx`."""
    return COST_WORDS[kind] + (f" on {engine}" if engine else "")


def cost_text(kind: Kind, cost: Cost) -> str:
    """`25,760 non-zeros`, `≈ 1.5 MFLOPs`, `0.42 ms, predicted`."""
    about = "" if cost.exact else "≈ "
    if kind == "milliseconds":
        return f"{about}{cost.value:.3g} ms, predicted"
    if kind == "flops":
        return f"{about}{numbers.flops_text(cost.value)}"
    if kind == "memory":
        return f"{about}{numbers.bytes_text(round(cost.value))} of memory at once, predicted"
    if kind == "bytes":
        return f"{about}{numbers.bytes_text(round(cost.value))}"
    return f"{about}{round(cost.value):,} {COST_WORDS[kind]}"


def time_lines(cost: Cost, engine: str, where: str | None = None) -> list[str]:
    """Predicted milliseconds on an engine or a device, as far off as plans were that were timed there, and what nobody
    timed.

    Args:
        cost: of the plan.
        engine: or the device.
        where: its staircases were measured; `None` of a device.
    """
    off = ""
    if cost.low is not None and cost.high is not None and cost.low < cost.high:
        off = f" [{cost.low:.3g}, {cost.high:.3g}: as far off as the worst plan that was timed as a whole]"
    lines = [f"predicted on {engine}: {cost.value:.3g} ms{off}, of the smaller model"]
    lines += [where_text(where)] if where else []
    if cost.unmeasured:
        lines.append(f"Time not measured, so counted as not saved: {', '.join(cost.unmeasured[:3])} …")
    return lines


def where_text(where: str) -> str:
    """Of what predicted milliseconds are, for whoever runs another."""
    return f"By staircases of {where}; they say nothing of another batch, thread count, version or machine."


def memory_text(found: Description, cost: Cost) -> str:
    """`a pass of 1 example holds 0.53 MB at once, 51 % of the dense model's (counted from the plan, not measured)`."""
    assert found.memory is not None
    dense = plan_cost(SparsityPlan(), found, "memory").value
    about = "" if cost.exact else "at most "
    text = f"{pass_text(found.memory)} holds {about}{numbers.bytes_text(round(cost.value))} at once"
    text += f", {numbers.share_text(cost.value / dense)} of the dense model's" if cost.value != dense else ""
    return f"{text} (counted from the plan, not measured)"


def goal_text(scale: Scale, goal: Goal) -> str:
    """What was asked, as it was asked: `at most 20 % of the non-zeros`, `at most 600 kB, 48.2 % of the dense model's
    memory`, `least FLOPs within 1.00 points, for nine of ten such plans`.
    """
    what = cost_words(goal.kind, goal.engine)
    if goal.tolerance is not None:
        return f"least {what} within {numbers.limit_text(scale, goal.tolerance)}, for nine of ten such plans"
    share = numbers.sparsity_text(round(goal.left or 0.0, 4))
    if goal.size is not None:
        return f"at most {numbers.bytes_text(goal.size)}, {share} of the dense model's {what}"
    return f"at most {share} of the {what}"


def reached_text(goal: Goal, solved: Solved) -> str:
    """What a plan leaves beside what was asked: `49.85 % of the dense model's; 50 % was asked`."""
    reached = f"{numbers.sparsity_text(round(solved.left, 4))} of the dense model's"
    if goal.left is None:
        return reached
    if goal.size is not None:
        return f"{reached}; {numbers.bytes_text(goal.size)} was asked"
    return f"{reached}; {numbers.sparsity_text(round(goal.left, 4))} was asked"


def solved_lines(model: str, plan_id: str, predictor: Predictor, goal: Goal, solved: Solved) -> list[str]:
    """What the solver made, what it should cost, and whether nothing is better."""
    met = "" if solved.feasible else " is out of reach; this comes nearest"
    lines = [
        f"plan {plan_id}, {len(solved.plan.cuts)} cuts: {goal_text(predictor.scale, goal)}{met}",
        f"left: {cost_text(goal.kind, solved.cost)}, {reached_text(goal, solved)}",
        *prediction_lines(predictor, solved.prediction),
    ]
    if solved.plan.cuts:
        lines.append(
            "The solver chose it for its prediction: measure it on examples that nobody saw, or `secateur refine`."
        )
    if goal.kind == "flops" and any(cut.granularity not in STRUCTURED for cut in solved.plan.cuts):
        lines.append(ZEROS_NOTE)
    if solved.cost.unmeasured:
        what = "Memory not known" if goal.kind == "memory" else "Time not measured"
        lines.append(f"{what}, so counted as not saved: {', '.join(solved.cost.unmeasured[:3])} …")
    better = "is predicted to be better" if solved.feasible else "comes nearer"
    proof = f"Proven: no plan on these levels {better}"
    why = "memory is a maximum and no sum" if goal.kind == "memory" else "time was up"
    lines.append(f"{proof}, as far as costs add up." if solved.proven else f"Not proven to be the best: {why}.")
    notes = [f"{note}." for note in solved.notes]
    return [*lines, *notes, f"`secateur plan {model} --from {plan_id}` prints it, `secateur apply` measures it."]
