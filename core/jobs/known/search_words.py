"""Searches for plans in words: what was tried, and the answer. Shared by command line and dashboard."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core import numbers
from core.jobs.known.plan_words import cost_words, predicted_text
from core.plans.costs.device_table import device_of
from core.plans.prediction import Prediction
from core.profiling import profile_words
from core.profiling.report import SpeedRatio, Unavailable
from core.sensitivity.report import Estimate
from core.workload.scale import Scale


@dataclass(frozen=True)
class TryText:
    """One plan that a search measured.

    Attributes:
        plan: its id.
        left: share of the cost that is left.
        predicted, measured: drops with their intervals; `measured` says so where there is none.
        verdict: `within` the tolerance or `beyond` it, interval and all; `not decided` where the interval holds the
            tolerance, or nothing was measured; or which group is not shown to keep its guard.
    """

    plan: str
    left: str
    predicted: str
    measured: str
    verdict: str


def whose(request: Mapping[str, Any]) -> str | None:
    """The engine, or the device, whose milliseconds a search is for; `None` for eager torch, and for other costs."""
    return request.get("engine") or device_of(request.get("costs") or ())


def try_texts(scale: Scale, request: Mapping[str, Any], result: Mapping[str, Any]) -> list[TryText]:
    """Every plan that a search has measured so far, in order; `request` and `result` as the run has them."""
    found = []
    for one in result["tries"]:
        drop = Estimate(**one["drop"]) if one["drop"] else None
        told = "could not be measured"
        if drop is not None:
            told = f"{numbers.drop_text(scale, drop.value)} {numbers.drop_interval(scale, drop)}, n = {drop.n:,}"
        within = verdict_of(drop, request["tolerance"])
        if within == "within" and not one.get("guarded", True):
            within = f"breaks a guard, {_guarded_text(scale, _not_shown(one))}"
        said = predicted_text(scale, Prediction.from_json(one["predicted"])) if one["predicted"] else "measured before"
        found.append(TryText(one["plan"], numbers.sparsity_text(round(one["left"], 3)), said, told, within))
    return found


def verdict_of(drop: Estimate | None, tolerance: float) -> str:
    """Where the interval of a drop lies; a search takes only plans that are within."""
    if drop is None or drop.low <= tolerance < drop.high:
        return "not decided"
    return "within" if drop.high <= tolerance else "beyond"


def answer_text(scale: Scale, request: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """What a finished search found, and how sure it is that there is nothing cheaper."""
    limit, what = numbers.limit_text(scale, request["tolerance"]), cost_words(request["kind"], whose(request))
    best = result["best"]
    judged = result.get("judged") or ()
    if best is None and judged:
        drops = [numbers.drop_with_interval(scale, Estimate(**one["drop"])) for one in judged if one["drop"]]
        broken = [group for group in groups_in(judged[0]) if group.says == "beyond"]
        of_groups = f", and {_guarded_text(scale, broken)}" if broken else ""
        return (
            f"No plan held within {limit} on examples that the search did not see: there the cheapest had "
            f"{drops[0] if drops else 'no drop that could be measured'}{of_groups}. Search with a smaller tolerance, "
            "or sweep more examples first."
        )
    if best is None:
        n = len(result["tries"])
        none = "No plan is" if result["settled"] else f"None of the {n:,} plans that were measured is"
        more = "accept a larger drop, or measure more examples"
        guarded = ", and every guard kept" if request.get("guards") else ""
        more = f"{more}, or guard less strictly" if request.get("guards") else more
        more = more if result["settled"] else f"{more} or more plans"
        return f"{none} within {limit}, interval and all{guarded}: {more}."
    sure = (
        "a little more is not known to stay within"
        if result["settled"]
        else "the number of plans ran out before it was narrowed down"
    )
    drop = f", drop {numbers.drop_with_interval(scale, Estimate(**best['drop']))}" if best.get("drop") else ""
    n = len(result["tries"])
    chosen = "" if n < 2 else f" Chosen among {n:,} plans on the same examples, so its drop is a little flattered."
    if best.get("judged"):
        others = numbers.drop_with_interval(scale, Estimate(**best["judged"]))
        chosen = f" On examples that the search did not see: {others}."
    return (
        f"Cheapest within {limit}: plan {best['plan']}, {numbers.share_text(best['left'])} of the {what} left{drop}; "
        f"{sure}.{chosen}"
    )


def speed_lines(result: Mapping[str, Any]) -> list[str]:
    """How much faster the smaller model was measured to be, if the search was for time; and what has no time, why."""
    ratios: Sequence[SpeedRatio] = [SpeedRatio(**fields) for fields in result.get("speed") or ()]
    missing: Sequence[Unavailable] = [Unavailable(**fields) for fields in result.get("not_timed") or ()]
    return [
        *(
            f"{one.variant}, {one.engine}, batch of {one.batch:,}, {numbers.threads_text(one.threads)}: "
            f"{numbers.ratio_text(one.value)} as fast {profile_words.ratio_interval(one)}, n = {one.n}: {one.verdict}"
            for one in ratios
        ),
        *(f"{one.variant}, {one.engine}, batch of {one.batch:,}: not timed: {one.reason}" for one in missing),
    ]


def minimise_lines(scale: Scale, request: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """Every plan that was tried, and the one that was found."""
    what = cost_words(request["kind"], whose(request))
    lines = []
    for number, one in enumerate(try_texts(scale, request, result), start=1):
        told = one.measured if one.measured.startswith("could not") else f"measured {one.measured}"
        start = f"{number}. plan {one.plan}: {one.left} of the {what} left"
        lines.append(f"{start}, predicted {one.predicted}, {told}: {one.verdict}")
    return [*lines, answer_text(scale, request, result), *group_lines(scale, result["best"]), *speed_lines(result)]


def refine_lines(scale: Scale, request: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """From the solver's plan to the refined one, both measured."""
    what, share = cost_words(request["kind"], whose(request)), numbers.share_text(request["left"])
    lines = [
        f"{number}. {'solved' if number == 0 else 'measured around it'}: drop {numbers.drop_text(scale, drop)} "
        f"({numbers.drop_unit(scale)}), n = {result['n']:,}"
        for number, drop in enumerate(result["drops"])
    ]
    if result.get("broken"):
        broken = [group for group in groups_in({"groups": result["broken"]}) if group.says == "beyond"]
        return [
            *lines,
            f"No plan within {share} of the {what} keeps every guard: of the nearest {_guarded_text(scale, broken)}. "
            "Leave more of the cost, or let these groups lose more.",
        ]
    if result.get("best") is None:
        return lines
    best = result["best"]
    drop = numbers.drop_with_interval(scale, Estimate(**best["drop"])) if best["drop"] else "not measured"
    told = (
        "the best on others, which nothing was chosen by."
        if best.get("unseen")
        else ("the best on all: on those it was chosen on its drop is flattered.")
    )
    return [
        *lines,
        f"Best plan within {share} of the {what}: {best['plan']}, {numbers.share_text(best['left'])} left, {drop}. "
        f"{result['n_measured']:,} plans were measured on {result['n']:,} examples, {told}",
        *group_lines(scale, best),
    ]


@dataclass(frozen=True)
class GroupText:
    """A group of the examples as a run kept it; fields as of `core.sensitivity.statistics.groups.GroupDrop`."""

    column: str
    value: str | int
    n: int
    drop: Estimate | None
    low: float | None
    high: float | None
    worse: bool
    limit: float | None
    says: str | None
    of: int


def groups_in(told: Mapping[str, Any] | None) -> list[GroupText]:
    """The groups that a run kept of a plan, the largest drop first; older runs kept none."""
    kept = (told or {}).get("groups") or ()
    return [GroupText(**{**one, "drop": Estimate(**one["drop"]) if one["drop"] else None}) for one in kept]


def group_lines(scale: Scale, told: Mapping[str, Any] | None) -> list[str]:
    """Who suffers from a plan: the worst groups, with intervals that hold for all groups together; and the guards."""
    groups = groups_in(told)
    if not groups:
        return []
    lines = []
    worse = [group for group in groups if group.worse]
    together = f"intervals that hold for all {groups[0].of:,} groups together"
    if worse:
        lines.append(
            f"Worse than dense, also after looking at so many ({together}; Holm): {_groups_text(scale, worse)}."
        )
    elif shown := [group for group in groups if group.drop is not None][:3]:
        lines.append(
            f"No group is shown to be worse than dense; the largest drops ({together}): {_groups_text(scale, shown)}."
        )
    for says, words in (
        ("beyond", "Beyond its guard"),
        ("unsure", "Within its guard, but not shown to be"),
        ("too few", "Too few examples to show that a guard is kept, so the drop alone counts"),
    ):
        found = [group for group in groups if group.says == says]
        if found:
            lines.append(f"{words}: {_guarded_text(scale, found)}.")
    return lines


def _not_shown(told: Mapping[str, Any]) -> list[GroupText]:
    return [group for group in groups_in(told) if group.says in ("beyond", "unsure")]


def _groups_text(scale: Scale, groups: Sequence[GroupText]) -> str:
    """`class shirt +3.10 [−0.20, +6.90], n = 210`, with intervals that hold for all groups; of many the first five."""
    texts = []
    for group in groups:
        if group.drop is not None and group.low is not None and group.high is not None:
            ends = Estimate(group.drop.value, group.low, group.high, group.n)
            texts.append(f"{_named(scale, group)} {numbers.drop_interval(scale, ends)}, n = {group.n:,}")
    return _listed(texts)


def _guarded_text(scale: Scale, groups: Sequence[GroupText]) -> str:
    """`class shirt +3.10 [+0.60, +5.90] of at most 2.00 points, n = 210`: the group's own interval, which counts."""
    return _listed(
        f"{_named(scale, group)}{f' {numbers.drop_interval(scale, group.drop)}' if group.drop else ''} of at most "
        f"{numbers.limit_text(scale, group.limit or 0.0)}, n = {group.n:,}"
        for group in groups
    )


def _named(scale: Scale, group: GroupText) -> str:
    drop = numbers.drop_text(scale, group.drop.value) if group.drop is not None else "no drop that could be measured"
    return f"{group.column} {group.value} {drop}"


def _listed(texts: Iterable[str]) -> str:
    every = list(texts)
    return "; ".join(every[:5]) + (f" and {len(every) - 5:,} more" if len(every) > 5 else "")
