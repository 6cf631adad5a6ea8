"""Quantization as people read it: a model that was written, and the map of pruning × quantization. No torch."""

from collections.abc import Mapping
from typing import Any

from core import numbers
from core.quantization.report import JointAnswer, QuantizationReport, QuantizedCell
from core.sensitivity.report import Estimate
from core.workload.scale import Scale

REASONS_SHOWN = 4


def quantized_lines(result: Mapping[str, Any], before: str = "dense") -> list[str]:
    """What was written, how large it is and what it measures.

    Args:
        result: as `core.delivery.quantized.model.Quantized.to_json` gives it.
        before: what the model that nothing was cut from is called.
    """
    scale, sizes = Scale.from_json(dict(result["metric"])), result["bytes"]
    dense, pruned, packed = (numbers.bytes_text(sizes[of]) for of in ("dense", "pruned", "packed"))
    after_zstd = numbers.bytes_text(sizes["pruned_zstd"])
    lines = [
        f"Wrote {result['path']}",
        f"{before:<8} {dense}  {numbers.metric_with_interval(scale, Estimate(**result['dense']))}",
        f"pruned   {pruned} ({result['form']}; {after_zstd} after plain zstd)  {_measured(scale, result['pruned'])}",
        f"written  {packed} ({_how(result)}; {numbers.share_text(sizes['share'])} of {before})"
        f"  {_measured(scale, result['quantized'])}",
    ]
    if result["own_drop"]:
        lines.append(f"quantizing alone costs {numbers.drop_with_interval(scale, Estimate(**result['own_drop']))}")
    return [*lines, *_left(result)]


def _how(result: Mapping[str, Any]) -> str:
    return f"int{result['bits']} {result['scheme']}{', packed' if result['scheme'] == 'weight' else ''}"


def _measured(scale: Scale, outcome: Mapping[str, Any]) -> str:
    if outcome["metric"] is None:
        return f"{outcome['state']}: {outcome['reason']}"
    drop = numbers.drop_with_interval(scale, Estimate(**outcome["drop"]))
    return f"{numbers.metric_with_interval(scale, Estimate(**outcome['metric']))}, drop {drop}"


def _left(result: Mapping[str, Any]) -> list[str]:
    """What stays as it is, by reason; and what became zero."""
    weights = result.get("weights")
    if not weights:
        return []
    by_reason: dict[str, list[str]] = {}
    for row in weights["left"]:
        by_reason.setdefault(row["reason"], []).append(row["name"])
    lines = [
        f"not quantized: {len(names):,} {'tensor' if len(names) == 1 else 'tensors'} "
        f"({', '.join(names[:REASONS_SHOWN])}{' …' if len(names) > REASONS_SHOWN else ''}): {reason}"
        for reason, names in by_reason.items()
    ]
    if weights["vanished"]:
        lines.append(f"{weights['vanished']:,} weights were rounded to zero")
    return lines


def way_text(sparsity: float | None, bits: int | None) -> str:
    """`50 %`, `4 bit`, `50 %, 4 bit`."""
    parts = [] if sparsity is None else [numbers.sparsity_text(sparsity)]
    return ", ".join([*parts, *([] if bits is None else [f"{bits} bit"])])


def cell_text(report: QuantizationReport, cell: QuantizedCell) -> str:
    """The drop; behind it `>` where both surely cost more than the two alone, `<` less; `·` where 0 is within."""
    if cell.drop is None:
        return "" if cell.state == "waiting" else cell.state
    text = numbers.drop_text(report.metric, cell.drop.value)
    if cell.is_sure and cell.interaction is not None:
        return text + (" >" if cell.interaction.value > 0 else " <")
    return text + ("·" if cell.drop.low <= 0 <= cell.drop.high else "")


def answer_lines(report: QuantizationReport) -> list[str]:
    """What the whole map says, in sentences."""
    states = [cell.state for cell in report.cells if cell.state in ("failed", "no effect")]
    others = [f"{states.count(state):,} cells: {state}." for state in dict.fromkeys(states)]
    if report.tolerance is None or report.dense is None:
        return others
    unit = numbers.drop_unit(report.metric)
    tolerance = numbers.drop_text(report.metric, report.tolerance).lstrip("+")
    n = next((cell.drop.n for cell in report.cells if cell.drop), report.dense.n)
    lines = [
        f"Drops in {unit}, n = {n:,}. · the 95 % interval holds 0. > (<): both surely cost more (less) than the two "
        f"alone added up. Tolerated: the interval ends within {tolerance} {unit}."
    ]
    return [*lines, *(line for answer in report.answers() for line in _answer(report, answer)), *others]


def _answer(report: QuantizationReport, answer: JointAnswer) -> list[str]:
    way = f"{numbers.sparsity_text(answer.sparsity)} and {answer.bits} bit"
    if not answer.n:
        return [f"{way}: nothing was measured in all three ways."]
    undecided = answer.either - answer.kept - answer.lost
    line = (
        f"{way}, {answer.n:,} targets: {answer.pruned:,} tolerate the cut, {answer.quantized:,} the bits, "
        f"{answer.either:,} each of them alone; of these {answer.kept:,} tolerate both at once, {answer.lost:,} do "
        f"not, {undecided:,} are undecided."
    )
    said = []
    if answer.spearman is not None:
        rho = f"{answer.spearman:.2f}".replace("-", numbers.MINUS)
        said.append(f"Over targets the drops of cut and bits agree with Spearman ρ = {rho}.")
    interaction = f"interaction surely not 0 in {answer.n_sure:,}, {answer.n_by_chance:.1f} would be by chance"
    if answer.mean is not None:
        interaction += f"; its mean {_interaction_text(report, answer.mean)}"
    return [line, " ".join(["   ", *said, f"{interaction[0].upper()}{interaction[1:]}."])]


def _interaction_text(report: QuantizationReport, estimate: Estimate) -> str:
    value, unit = numbers.drop_text(report.scale, estimate.value), numbers.drop_unit(report.scale)
    return f"{value} {unit} {numbers.drop_interval(report.scale, estimate)}"
