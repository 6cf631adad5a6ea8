"""Sweeps in words: cells and their intervals, searches, slices, pairs. For terminal and dashboard; no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.numbers import (
    MINUS,
    drop_interval,
    drop_text,
    drop_unit,
    drop_with_interval,
    limit_text,
    metric_with_interval,
    seconds_text,
    share_text,
    short_drop_text,
    sparsity_text,
)
from core.plans.cut_words import cut_text
from core.sensitivity.criteria_comparison import TargetComparison
from core.sensitivity.pairs import PairResult, PairsReport
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.sensitivity.search.enough import least_high, least_n, useful_n
from core.workload.scale import Scale


def interval_text(scale: Scale, cell: CellResult) -> str:
    """What the interval of a cell promises: until all examples are in, it must hold whenever one looks."""
    if cell.foreseen or cell.stage == "forecast":
        return "95 % interval as far as forecasts go"
    at_all_times = cell.stage != "full" and not scale.of_set
    return "95 % interval that holds at every moment" if at_all_times else "95 % interval"


def stage_text(scale: Scale, cell: CellResult, n_total: int, between: float | None = None) -> str | None:
    """Why a measured cell did not see all examples of its run, in words; `None` if it did.

    Args:
        scale: how to read the numbers.
        cell: measured.
        n_total: examples of the run.
        between: the drop on the line between its settled neighbours (`interpolated`), where there is one.
    """
    if cell.drop is None or cell.stage == "full":
        return None
    seen = f"{cell.drop.n:,} of {n_total:,} examples"
    if cell.stage == "open":
        return f"{seen} so far"
    if cell.stage == "decided":
        if cell.verdict is None or cell.tolerance is None:
            return f"stopped after {seen}: its interval is narrow enough"
        known = "within" if cell.verdict == "within" else "not within"
        return f"decided after {seen}: all of them {known} {limit_text(scale, cell.tolerance)}, interval and all"
    if cell.stage == "forecast":
        told = f"forecast after {seen}, by how sure the dense model is of the others"
        if cell.verdict is None or cell.tolerance is None:
            return told
        known = "within" if cell.verdict == "within" else "not within"
        return f"{told}: all of them {known} {limit_text(scale, cell.tolerance)}, interval and all"
    if between is None:
        return f"{seen} only: the answer did not need more"
    return f"interpolated between measured sparsities: {drop_text(scale, between)} {drop_unit(scale)}"


def evidence_lines(report: SensitivityReport, cell: CellResult, between: float | None = None) -> list[str]:
    """All that is known of a measured cell, a thought a line; arguments as of `stage_text`."""
    scale = report.scale
    if cell.drop is None or cell.metric is None:
        return []
    metric = f"{scale.name} {metric_with_interval(scale, cell.metric)}"
    drop = f"drop {drop_with_interval(scale, cell.drop)}, paired"
    stage = stage_text(scale, cell, report.n_examples, between)
    doubts = [text for text in (few_text(cell), unseen_text(scale, cell.drop.n)) if text]
    if stage is None:
        return [metric, drop, *doubts]
    brackets = f"in brackets: {interval_text(scale, cell)}"
    if between is not None:
        return [stage, f"its own {cell.drop.n:,} examples say: {drop}", brackets]
    return [metric, drop, stage, brackets, *doubts]


def few_text(cell: CellResult) -> str | None:
    """That a few examples carry a drop, where they do: `3 of 300 examples carry 80 % of this drop …`."""
    if cell.carried is None or cell.drop is None:
        return None
    share = share_text(cell.carried)
    return f"3 of {cell.drop.n:,} examples carry {share} of this drop: its interval rests on how many such were met"


def few_lines(cells: Sequence[CellResult], most: int = 5) -> list[str]:
    """The same of a whole map, a cell a line, those with the largest shares; and how many more there are."""
    rests = sorted((cell for cell in cells if cell.carried is not None), key=lambda cell: -(cell.carried or 0))
    lines = [f"{cut_text(cell.cut)}: {few_text(cell)}" for cell in rests[:most]]
    more = len(rests) - most
    return [*lines, f"{more:,} more such cells; --json has all."] if more > 0 else lines


def counts_text(cells: Sequence[CellResult]) -> str | None:
    """How numbers of weights are rounded, by the cell where it shows most; `None` where every share is a whole number.

    Tools that cut `int(sparsity * weights)` take one fewer there, which in a small layer is another cell.
    """
    unlike = [
        cell for cell in cells
        if cell.cut.granularity == "weight" and cell.n_removed != int((cell.cut.sparsity or 0.0) * cell.n_weights)
    ]  # fmt: skip
    if not unlike:
        return None
    cell = min(unlike, key=lambda cell: cell.n_weights)
    return (
        f"Counts are rounded: {cell.cut.target} at {sparsity_text(cell.cut.sparsity or 0.0)} loses {cell.n_removed:,} "
        f"of {cell.n_weights:,} weights, not {cell.n_removed - 1:,}. --json has every cell's n_removed."
    )


UNSEEN = 300  # examples from which on what they cannot show is rare enough not to be said of every cell


def unseen_text(scale: Scale, n: int) -> str | None:
    """What few examples of a metric without a range cannot show, whatever the interval; `None` where there are more."""
    bounded = scale.of_set or (scale.aggregate == "mean" and scale.low is not None and scale.high is not None)
    if bounded or n >= UNSEEN:
        return None
    share = share_text(1 - 0.025 ** (1 / n))
    return f"{n:,} examples cannot show what befalls fewer than {share} of them, and {scale.name} has no end"


def enough_text(scale: Scale, tolerance: float, n: int) -> str | None:
    """That n examples can tell a tolerance of no cell, or of few; how many can. `None` where n is enough."""
    least, useful, high = least_n(scale, tolerance), useful_n(scale, tolerance), least_high(scale, n)
    if least is None or useful is None or high is None or n >= useful:
        return None
    limit, of_use = limit_text(scale, tolerance), f"about {useful:,} to be of use"
    if n < least:
        reach = drop_text(scale, high).lstrip("+")
        nothing = f"where a cut changes nothing the interval still reaches {reach}"
        return f"{n:,} examples cannot tell ±{limit}: {nothing}; {least:,} at least, {of_use}"
    return f"{n:,} examples can tell ±{limit} only where a cut changes next to nothing; {of_use}"


SEARCH_NOTE = (
    "Sparsities that were not tried are taken to lie between those that were (~): a small dip there stays unseen. "
    "An exact sweep shows all of them."
)


def answer_text(report: SensitivityReport, answer: Mapping[str, Any]) -> str:
    """What a search says of one layer: `within 1.00 points up to 60 %`, and what must be known of it."""
    limit = limit_text(report.scale, answer["tolerance"])
    sparsity = answer["sparsity"]
    text = f"within {limit} up to {sparsity_text(sparsity)}" if sparsity else f"no measured sparsity within {limit}"
    notes = [] if answer["certain"] else ["not settled"]
    notes += ["by forecast"] if answer.get("forecast") else []
    notes += [] if answer["monotone"] else ["its curve goes up and down: a higher sparsity did better than a lower one"]
    return text + (f" ({'; '.join(notes)})" if notes else "")


def cost_text(cost: Mapping[str, Any]) -> str:
    """What a sweep will take: `220 cells x 2,000 examples: about 18 s on this machine; by full passes about 1 min.`"""
    known = f", {share_text(cost['n_known'] / cost['n_total'])} known already" if cost["n_known"] else ""
    return (
        f"{cost['n_cells']:,} cells × {cost['n_examples']:,} examples{known}: about {seconds_text(cost['seconds'])} "
        f"on this machine, if every cell takes them all; by full passes about {seconds_text(cost['full_seconds'])}."
    )


def damage_text(n: int) -> str:
    """What a run says of evidence that it found damaged."""
    return (
        f"{n:,} measurement{'s' if n > 1 else ''} on disk {'were' if n > 1 else 'was'} damaged (what stood there does "
        "not fit its digest, or cannot be) and measured again; is the disk sound?"
    )


def other_data_text(before: str) -> str:
    """What is said of a run whose evaluation data are not those of the run before it."""
    return (
        f"The evaluation data are not those of run {before} before it (other examples): numbers of the two do not "
        "compare. If nobody changed them, they are drawn at random whenever they are loaded; give them a seed."
    )


NO_FORECASTS = (
    "Nothing was forecast: that takes more than four batches, of two examples or more each, a dense model that is sure "
    "of half of them, and a metric that says how sure. Examples were read at random."
)
NONE_BY_FORECAST = "No cell was decided by a forecast: what is decided was read whole."


def audit_text(n: int, expected: float, holds: bool, decided: bool = True) -> str:
    """What became of the examples that were drawn at random to hold the forecasts against.

    Args:
        n, expected: of them so many changed sides, and so many were forecast to.
        holds: whether the forecasts are still believed.
        decided: these are of cuts that forecasts had decided; else of all cuts, each batch forecast from those before.
    """
    cuts = "with cuts decided so" if decided else "with cuts not decided yet"
    drawn = f"Of examples drawn at random {n:,} changed sides {cuts}, {expected:,.0f} were forecast to"
    if holds:
        return f"Cells were decided by forecasts (≈), not by a guarantee. {drawn}."
    return f"{drawn}: the forecasts were given up, and what they had decided was judged again by a census."


def full_pass_lines(reasons: Sequence[str]) -> list[str]:
    """Why a sweep ran the whole model where it might have replayed."""
    return [f"Full passes, which take longer and give the same numbers: {reason}" for reason in reasons]


def cell_text(scale: Scale, cell: CellResult, between: float | None = None) -> str:
    """One cell of a table: its drop, or the word for why there is none. `·` where the interval holds zero,
    `≈` before what is forecast."""
    if cell.state == "waiting":
        return ""
    if cell.state == "failed":
        return "failed"
    if cell.state == "no effect":
        return "no eff."
    assert cell.drop is not None
    if cell.stage == "early":
        value = cell.drop.value if between is None else between
        return "~" + short_drop_text(scale, value)
    return ("≈" if cell.stage == "forecast" else "") + slice_text(scale, cell.drop)


def slice_text(scale: Scale, drop: Estimate | None) -> str:
    """The drop of one slice in a table, `·` where its interval holds zero; `–` where there are too few examples."""
    if drop is None:
        return "–"
    text = short_drop_text(scale, drop.value)
    return text + ("·" if drop.low <= 0 <= drop.high else "")


def slices_note(n_slices: int, stopped: bool = False) -> str:
    """What must be said of several slices looked at together, and of cells whose measuring was `stopped` early."""
    alone = "Each 95 % interval is for its slice alone"
    if stopped:
        alone = f"Where a search stopped a cell, these intervals do not pay for the stopping. {alone}"
    if n_slices < 2:
        return f"{alone}."
    return (
        f"{alone}: of {n_slices} looked at together, the chance that all hold the truth is lower, and the worst is in "
        "part the unluckiest. Take it for a suspicion, and confirm it on other examples."
    )


def broken_text(n_broken: int, n_better: int, n: int, n_listed: int) -> str:
    """How many examples a cut breaks: `31 of 2,000 examples came out worse, 12 better. The 20 largest losses.`"""
    worse = f"{n_broken:,} of {n:,} examples came out worse, {n_better:,} better."
    return f"{worse} The {n_listed:,} largest losses are listed." if n_listed < n_broken else worse


def estimate_text(rank: int, n_cells: int, n_calibration: int) -> str:
    """A cell that gradients speak of and no measurement: its rank from 1, the cell that should cost most."""
    examples = f"{n_calibration:,} calibration examples"
    return f"estimate, rank {rank} of {n_cells} (1 costs most), from gradients on {examples}; not measured"


def estimates_text(report: SensitivityReport) -> str | None:
    """`Estimates ranked the measured cells with Spearman ρ = 0.87 (n = 210 cells)`; the heads by themselves."""
    found = {"cells": report.rank_correlation("weight"), "heads": report.rank_correlation("head")}
    parts = [
        f"the measured {what} with Spearman ρ = {ranked.rho:.2f} (n = {ranked.n:,} {what})".replace("-", MINUS)
        for what, ranked in found.items()
        if ranked is not None
    ]
    return f"Estimates ranked {' and '.join(parts)}" if parts else None


def n_pairs_text(n_targets: int) -> str:
    """`231 pairs of 22 targets`."""
    return f"{n_targets * (n_targets - 1) // 2:,} pairs of {n_targets:,} targets"


COMPARISON_NOTE = (
    "The largest sparsity up to which every drop stays within the tolerance, 95 % interval and all. "
    "Best: reaches farthest. · the intervals of the drops cannot tell it from the best.  – has no meaning there.  "
    "? the examples cannot tell whether even the lowest sparsity is within."
)


def reach_text(compared: TargetComparison, criterion: str) -> str:
    """How far a criterion reaches within the tolerance: `70 %`, `0 %`, `60 %·` if the best is no surer, `–`, `?`."""
    curve = compared.curve(criterion)
    if curve is None:
        return ""
    if curve.reason is not None:
        return "–"
    if curve.largest is None or not curve.decided:
        return "?"
    return sparsity_text(curve.largest) + ("·" if criterion in compared.as_good else "")


def pair_lines(scale: Scale, pair: PairResult) -> list[str]:
    """One pair: what it costs together, added up, and the difference."""
    lines = [f"{cut_text(pair.a)} and {cut_text(pair.b)}"]
    if pair.joint is not None and pair.sum_alone is not None:
        lines.append(f"together {drop_with_interval(scale, pair.joint)}")
        lines.append(f"added up {drop_text(scale, pair.sum_alone)} {drop_unit(scale)}")
    if pair.interaction is not None:
        lines.append(f"interaction {drop_with_interval(scale, pair.interaction)} (paired)")
    if pair.state != "measured":
        lines.append(f"{pair.state}: {pair.reason}" if pair.reason else "not measured yet")
    return lines


def pairs_lines(report: PairsReport) -> list[str]:
    """What a run over pairs says, in sentences: how far off adding up is, how sure that is, and does it rank."""
    found, scale = report.summary(), report.scale
    left_out = [pair.state for pair in report.pairs if pair.interaction is None]
    counts = [f"{left_out.count(state):,} {state}" for state in dict.fromkeys(left_out)]
    others = f"No interaction is known of {len(left_out):,} pairs: {', '.join(counts)}." if left_out else ""
    if found is None:
        return [others]
    unit, n = drop_unit(scale), f"{found.n:,} {'pair' if found.n == 1 else 'pairs'}"
    size = drop_text(scale, found.mean_size).lstrip("+")
    lines = [f"Adding up single drops is off by {size} {unit} per pair, on average over {n}, noise included."]
    mean = drop_text(scale, found.mean)
    how = f"{mean} {unit} {drop_interval(scale, report.mean)}" if report.mean else f"{mean} {unit}"
    says = "pairs cost more together" if found.mean > 0 else "pairs cost less together"
    doubt = ", but the interval holds 0" if report.mean and report.mean.low <= 0 <= report.mean.high else ""
    lines.append(f"On the whole {says if found.mean else 'it is even'}: {how} beyond the sum{doubt}.")
    lines.append(
        f"The 95 % interval leaves out 0 in {found.n_sure:,} of {n}; {found.n_by_chance:.1f} would by chance alone."
    )
    if found.spearman is not None and found.pearson is not None:
        lines.append(
            "Sums and joint drops agree with Spearman ρ = "
            f"{found.spearman:.2f}, Pearson r = {found.pearson:.2f}.".replace("-", MINUS)
        )
    if report.scale != report.metric:
        lines.append(
            f"In the logarithm of the {report.metric.name}, the loss per token in {unit}: drops of the "
            f"{report.metric.name} itself multiply."
        )
    return [*lines, others] if others else lines


INTERACTIONS_NOTE = (
    "Above 0: together they cost more than added up. Of many pairs looked at together the strongest are in part luck; "
    "a plan's own measurement decides."
)


def seen_text(n: int, n_all: int) -> str:
    """`up to example 200 of 200`: where the work is, which is not how much of it is done."""
    return f"up to example {n:,} of {n_all:,}"
