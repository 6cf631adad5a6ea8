"""Numbers as people read them: percent signs, points, signs, counts. The command line and the dashboard share it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.delivery.formats.facts import FORMATS
from core.delivery.profile_report import Machine, ProfileReport, SpeedRatio, Timing
from core.plans.criteria import DEFAULT_CRITERION, CriterionFacts
from core.plans.patterns import is_pattern, parse_pattern
from core.plans.plan import Cut
from core.sensitivity.criteria_comparison import TargetComparison
from core.sensitivity.pairs import PairResult, PairsReport
from core.sensitivity.report import CellResult, Estimate, SensitivityReport
from core.workload.scale import Scale
from core.workload.target import Target

MINUS = "\N{MINUS SIGN}"


def metric_text(scale: Scale, value: float) -> str:
    """A metric with its unit: `92.68 %` for a fraction, else `4.931 nats`; a small one keeps its digits: `0.00213`."""
    if scale.unit == "fraction":
        return f"{100 * value:.2f} %"
    return _number(value, 3).replace("-", MINUS) + ("" if scale.unit == scale.name else f" {scale.unit}")


def drop_text(scale: Scale, value: float, digits: int | None = None) -> str:
    """A drop with its sign, in points for a fraction: `+1.25` is 1.25 points worse, `−0.10` is better.

    `digits` after the point: by default 2 for points, 3 otherwise. A small drop of another metric keeps its digits.
    """
    if scale.unit == "fraction":
        places = 2 if digits is None else digits
        text = f"{100 * value:+.{places}f}"
        return f"{0:.{places}f}" if float(text) == 0 else text.replace("-", MINUS)
    text = _number(value, 3 if digits is None else digits)
    return text if value == 0 else f"{'+' if value > 0 else ''}{text}".replace("-", MINUS)


def _number(value: float, places: int) -> str:
    """`places` digits after the point; where that would leave fewer than two significant ones, two of those."""
    if value != 0 and abs(value) < 10.0 ** (1 - places):
        places = min(12, 1 - math.floor(math.log10(abs(value))))
    elif abs(value) >= 1000:
        places = max(0, places - 2)
    return f"{value:,.{places}f}"


def drop_unit(scale: Scale) -> str:
    """The unit of a drop: points of a percentage, or the metric's own."""
    return "points" if scale.unit == "fraction" else scale.unit


def metric_interval(scale: Scale, estimate: Estimate) -> str:
    """`[92.15, 93.17], n = 10,000`."""
    low, high = (metric_text(scale, bound).split(" ")[0] for bound in (estimate.low, estimate.high))
    return f"[{low}, {high}], n = {estimate.n:,}"


def metric_with_interval(scale: Scale, estimate: Estimate) -> str:
    """`92.68 % [92.15, 93.17], n = 10,000`."""
    return f"{metric_text(scale, estimate.value)} {metric_interval(scale, estimate)}"


def drop_interval(scale: Scale, estimate: Estimate) -> str:
    """`[+0.60, +1.95]`."""
    return f"[{drop_text(scale, estimate.low)}, {drop_text(scale, estimate.high)}]"


def drop_with_interval(scale: Scale, estimate: Estimate) -> str:
    """`+1.25 points [+0.60, +1.95], n = 2,000`."""
    drop = f"{drop_text(scale, estimate.value)} {drop_unit(scale)}"
    return f"{drop} {drop_interval(scale, estimate)}, n = {estimate.n:,}"


def share_text(fraction: float) -> str:
    """A fraction as a percentage: `5 %`, `0.3 %`. Only nothing is 0 % and only everything 100 %."""
    percent = 100 * fraction
    if 0 < percent < 0.05:
        return "< 0.1 %"
    if 99.5 <= percent < 100:
        return "> 99 %"
    return f"{percent:.0f} %" if percent >= 10 or percent == round(percent) else f"{percent:.1f} %"


def sparsity_text(sparsity: float) -> str:
    """A sparsity as a percentage without needless digits: `95 %`, `12.5 %`, `99.999 %`."""
    return f"{100 * sparsity:.10g} %"


def shape_text(shape: tuple[int, ...]) -> str:
    """`32 × 16 × 3 × 3`."""
    return " × ".join(map(str, shape))


def seconds_text(seconds: float) -> str:
    """`18 s`, `2 min 05 s`, `1 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def limit_text(scale: Scale, tolerance: float) -> str:
    """A tolerance with its unit: `1.00 points`."""
    return f"{drop_text(scale, tolerance).lstrip('+')} {drop_unit(scale)}"


def interval_text(scale: Scale, cell: CellResult) -> str:
    """What the interval of a cell promises: until all examples are in, it must hold whenever one looks."""
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
    if stage is None:
        return [metric, drop]
    brackets = f"in brackets: {interval_text(scale, cell)}"
    if between is not None:
        return [stage, f"its own {cell.drop.n:,} examples say: {drop}", brackets]
    return [metric, drop, stage, brackets]


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
    notes += [] if answer["monotone"] else ["its curve goes up and down: a higher sparsity did better than a lower one"]
    return text + (f" ({'; '.join(notes)})" if notes else "")


def cost_text(cost: Mapping[str, Any]) -> str:
    """What a sweep will take: `220 cells x 2,000 examples: about 18 s on this machine; by full passes about 1 min.`"""
    known = f", {share_text(cost['n_known'] / cost['n_total'])} known already" if cost["n_known"] else ""
    return (
        f"{cost['n_cells']:,} cells × {cost['n_examples']:,} examples{known}: about {seconds_text(cost['seconds'])} "
        f"on this machine, if every cell takes them all; by full passes about {seconds_text(cost['full_seconds'])}."
    )


def full_pass_lines(reasons: Sequence[str]) -> list[str]:
    """Why a sweep ran the whole model where it might have replayed."""
    return [f"Full passes, which take longer and give the same numbers: {reason}" for reason in reasons]


def cell_text(scale: Scale, cell: CellResult, between: float | None = None) -> str:
    """One cell of a table: its drop, or the word for why there is none. `·` where the interval holds zero."""
    if cell.state == "waiting":
        return ""
    if cell.state == "failed":
        return "failed"
    if cell.state == "no effect":
        return "no eff."
    assert cell.drop is not None
    if cell.stage == "early":
        value = cell.drop.value if between is None else between
        return "~" + drop_text(scale, value, 1 if scale.unit == "fraction" else 2)
    return slice_text(scale, cell.drop)


def slice_text(scale: Scale, drop: Estimate | None) -> str:
    """The drop of one slice in a table, `·` where its interval holds zero; `–` where there are too few examples."""
    if drop is None:
        return "–"
    text = drop_text(scale, drop.value, 1 if scale.unit == "fraction" else 2)
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


def cut_text(cut: Cut) -> str:
    """`stem at 50 %`, `channels of stem at 50 %`, `stem at 2:4`; a head goes whole, and its name says what it is.

    A criterion is told if it is not the usual one: `stem at 50 % by wanda`.
    """
    name = f"channels of {cut.target}" if cut.granularity == "channel" else cut.target
    return name if cut.sparsity is None else f"{name} at {removed_text(cut)}{criterion_text(cut)}"


def criterion_text(cut: Cut) -> str:
    """` by wanda`, to be put behind the name of a cut; nothing for the usual criterion, or where there is none."""
    return "" if cut.criterion in (None, DEFAULT_CRITERION) else f" by {cut.criterion}"


NEEDS = {"weights": "nothing", "calibration": "calibration data", "loss": "calibration data, a loss"}


def needs_text(facts: CriterionFacts) -> str:
    """What a criterion asks of a workload: `nothing`, `calibration data`, `calibration data, a loss`."""
    return NEEDS[facts.needs]


COMPARISON_NOTE = (
    "The largest sparsity up to which every drop stays within the tolerance, 95 % interval and all. "
    "Best: reaches farthest. · the intervals of the drops cannot tell it from the best.  – has no meaning there."
)


def reach_text(compared: TargetComparison, criterion: str) -> str:
    """How far a criterion reaches within the tolerance: `70 %`, `0 %`, `60 %·` if the best is no surer, `–`, `?`."""
    curve = compared.curve(criterion)
    if curve is None:
        return ""
    if curve.reason is not None:
        return "–"
    if curve.largest is None:
        return "?"
    return sparsity_text(curve.largest) + ("·" if criterion in compared.as_good else "")


def curve_text(cut: Cut) -> str:
    """What cuts of one curve have in common: `stem`, `channels of stem`, `stem in tiles of 4x4`, `stem by wanda`."""
    by = criterion_text(cut)
    if is_pattern(cut.granularity):
        return f"{cut.target} in tiles of {cut.granularity}{by}"
    return f"channels of {cut.target}{by}" if cut.granularity == "channel" else f"{cut.target}{by}"


GRANULARITIES = {
    "weight": "weights",
    "channel": "channels & neurons",
    "head": "heads",
    "kv_group": "key/value groups",
    "block": "blocks",
}


def granularity_text(granularity: str) -> str:
    """What goes as one, in the plural: `weights`, `channels & neurons`, `2:4`, `tiles of 4x4`."""
    if is_pattern(granularity):
        return f"tiles of {granularity}" if parse_pattern(granularity).is_tiles else granularity
    return GRANULARITIES[granularity]


def n_units_text(target: Target, n: int) -> str:
    """`8 of 16 channels`."""
    return f"{n:,} of {target.n_units:,} {unit_word(target)}s"


def what_goes_text(cut: Cut, unit: str = "channel") -> str:
    """Of one target: `50 % removed`, `50 % of its channels removed`, `cut to 2:4`, `the head removed`, `skipped`.

    `unit` is what one of a coupled group is called, where that is known.
    """
    whole = {"head": "the head removed", "kv_group": "the key/value head and its queries removed", "block": "skipped"}
    if cut.sparsity is None:
        return whole[cut.granularity]
    share = sparsity_text(cut.sparsity)
    if cut.granularity == "channel":
        aligned = f", a multiple of {cut.align} stays" if cut.align > 1 else ""
        return f"{share} of its {unit}s removed{aligned}"
    if is_pattern(cut.granularity):
        is_tiles = parse_pattern(cut.granularity).is_tiles
        return f"{share} of its tiles of {cut.granularity} removed" if is_tiles else f"cut to {cut.granularity}"
    return f"{share} removed"


def removed_text(cut: Cut) -> str:
    """What goes: `50 %`, `2:4`, or `50 % in tiles of 4x4`; `head` for what goes whole."""
    if cut.sparsity is None:
        return "head"
    if not is_pattern(cut.granularity):
        return sparsity_text(cut.sparsity)
    is_tiles = parse_pattern(cut.granularity).is_tiles
    return f"{sparsity_text(cut.sparsity)} in tiles of {cut.granularity}" if is_tiles else cut.granularity


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


def kind_text(target: Target) -> str:
    """`Conv2d`, `16 channels of Conv2d`, `head of SelfAttention`, `block, BasicBlock`."""
    if target.granularity == "channel":
        return f"{target.n_units:,} {unit_word(target)}s of {target.kind}"
    before = {"weight": "", "head": "head of ", "kv_group": "key/value group of ", "block": "block, "}
    return before[target.granularity] + target.kind


def unit_word(target: Target) -> str:
    """What one unit of a coupled group is called: a linear layer has neurons."""
    return "neuron" if target.kind == "Linear" else "channel"


ROLES = {"outputs": "makes", "norm": "scales", "inputs": "reads", "parameter": "takes part"}


def members_text(target: Target) -> str:
    """`stem makes · bn scales · stage1.0.conv1 reads`."""
    return " · ".join(f"{member.layer} {ROLES[member.role]}" for member in target.members)


def shrunk_lines(manifest: Mapping[str, Any]) -> list[str]:
    """What a bundle's manifest says of a shrunk model; nothing for a masked one."""
    shrunk = manifest.get("shrunk")
    if not shrunk:
        return []
    scale = Scale.from_json(dict(manifest["measured"]["metric"]))
    kept, dense = shrunk["parameters"], shrunk["dense_parameters"]
    lines = [f"shrunk   {kept:,} of {dense:,} parameters stay ({share_text(kept / dense)})"]
    if shrunk["metric"]:
        lines.append(f"measures {metric_with_interval(scale, Estimate(**shrunk['metric']))}")
    far = shrunk["difference"]
    lines.append(
        f"equals the masked model: outputs at most {far['largest']:.1g} apart (relative), "
        f"{shrunk['other_scores']:,} of {far['n']:,} examples score otherwise"
    )
    lines += [f"note: {note}" for note in shrunk.get("notes", ())]
    if manifest.get("no_onnx"):  # of a bundle of version 1
        lines.append(f"no ONNX file: {manifest['no_onnx']}")
    return lines


def refused_lines(manifest: Mapping[str, Any]) -> list[str]:
    """A line for each format that a bundle was to have and that cannot hold the model, with the reason."""
    return [f"no {FORMATS[name].path}: {why}" for name, why in manifest.get("refused", {}).items()]


def format_lines(manifest: Mapping[str, Any]) -> list[str]:
    """A line for each format of a bundle: its bytes, how far its outputs are from the model's, how it was checked."""
    files = manifest["files"]
    return [
        f"{name:<12}{bytes_text(sum(files[file]['bytes'] for file in made['files'])):>8}  "
        f"{apart_text(made['difference'])}: {made['checked']}"
        for name, made in manifest.get("formats", {}).items()
    ]


def formats_checked_text(formats: Mapping[str, float]) -> str:
    """`safetensors the same bits, onnx at most 2e-07 apart`."""
    return ", ".join(f"{name} {apart_text(apart)}" for name, apart in formats.items())


def verified_text(checked: Mapping[str, Any]) -> str:
    """What a bundle that was found whole was checked for, in one line.

    Args:
        checked: as `verify_bundle` gives it, of a run also with `"zip"`: whether that was compared with its seal.
    """
    seal = ", the zip is as it was sealed" if checked.get("zip") else ""
    ran = f"; read by a fresh process each: {formats_checked_text(checked['formats'])}" if checked["formats"] else ""
    return (
        f"{checked['files']} files and {checked['tensors']} tensors are what was exported{seal}; it measures "
        f"{checked['metric']:.6g} on n = {checked['n']:,} examples, as its manifest says{ran}"
    )


def apart_text(largest: float) -> str:
    """How far two models' outputs are apart, in parts of the largest."""
    return "the same bits" if largest == 0 else f"at most {largest:.1g} apart (relative)"


def bytes_text(n: float | None) -> str:
    """`1.86 MB`, in powers of 1000; `–` for what was not measured."""
    return "–" if n is None else f"{n:,.0f} B" if n < 1000 else f"{_with_prefix(n)}B"


def flops_text(flops: float | None) -> str:
    """`64.1 MFLOP`; `–` for what was not counted."""
    return "–" if flops is None else f"{_with_prefix(flops)}FLOP"


def _with_prefix(value: float) -> str:
    for prefix in ("", "k", "M", "G"):
        if value < 999.5:
            return f"{value:.3g} {prefix}"
        value /= 1000
    return f"{value:,.3g} T" if value < 999.5 else f"{value:,.0f} T"


def milliseconds_text(seconds: float) -> str:
    """Three digits, without the unit: `12.6`, `0.00123`, `−0.4`."""
    value = 1000 * seconds
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}".replace("-", MINUS)


def timing_text(timing: Timing) -> str:
    """`2.10 (2.05, 2.20), n = 30`: milliseconds, the median with its quartiles, and the number of rounds."""
    low, high = milliseconds_text(timing.low), milliseconds_text(timing.high)
    return f"{milliseconds_text(timing.median)} ({low}, {high}), n = {timing.n}"


def ratio_text(value: float) -> str:
    """How many times as fast: `1.04 ×`."""
    return f"{value:.2f} ×"


def ratio_interval(ratio: SpeedRatio) -> str:
    """`[0.95, 1.06]`; a bound that would be rounded onto 1 keeps the digits that tell on which side it lies."""
    return f"[{_side_of_one(ratio.low)}, {_side_of_one(ratio.high)}]"


def _side_of_one(bound: float) -> str:
    places = 2
    while places < 6 and bound != 1 and round(bound, places) == 1:
        places += 1
    return f"{bound:.{places}f}"


def machine_text(machine: Machine) -> str:
    """`AMD EPYC, 2 cores, Linux x86_64, on cpu; torch 2.13.0, onnxruntime 1.32.0`."""
    cores = f"{machine.cores} core{'s' * (machine.cores > 1)}"
    runtime = f", onnxruntime {machine.onnxruntime}" if machine.onnxruntime else ""
    return f"{machine.cpu}, {cores}, {machine.system}, on {machine.device}; torch {machine.torch}{runtime}"


def threads_text(n: int) -> str:
    """`1 thread`, `2 threads`."""
    return f"{n} thread{'s' * (n > 1)}"


def unavailable_lines(report: ProfileReport) -> list[str]:
    """What could not be timed and why, one line for each reason."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for one in report.unavailable:
        at = f"{one.variant}, batch {one.batch}" + (f", {threads_text(one.threads)}" if one.threads else "")
        by_reason.setdefault((one.engine, one.reason), []).append(at)
    return [f"No time from {engine} ({'; '.join(at)}): {reason}" for (engine, reason), at in by_reason.items()]


TIMES_NOTE = (
    "Milliseconds per forward pass: median, quartiles in brackets. Times as fast: the first model's seconds / this "
    "one's, both of the same round, with the 95 % interval of the median; “faster” only where all of it lies above 1, "
    "“slower” where all of it lies below; of compiled engines by 5 % at least, for where two models lie in memory "
    "makes that much. It holds for this machine, this engine and this batch."
)
LAYERS_NOTE = (
    "Of the first model, run eagerly and timed inside: each layer without those it calls. What is between them is "
    "activations, additions and attention itself. FLOPs are torch's count, of matrix products and convolutions; zeros "
    "count like any number."
)
SAVINGS_NOTE = (
    "Milliseconds that cutting one target alone saves, run eagerly; negative: it takes longer. "
    "· the 95 % interval holds 0. Of many looked at together, about one in twenty leaves out 0 by chance."
)
