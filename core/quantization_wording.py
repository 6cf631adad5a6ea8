"""Quantized models as people read of them: bytes beside each other, metrics beside each other. No torch."""

from collections.abc import Mapping
from typing import Any

from core.sensitivity.report import Estimate
from core.wording import bytes_text, drop_with_interval, metric_with_interval, share_text
from core.workload.scale import Scale

REASONS_SHOWN = 4


def quantized_lines(result: Mapping[str, Any]) -> list[str]:
    """What was written, how large it is and what it measures.

    Args:
        result: as `core.delivery.quantized.Quantized.to_json` gives it.
    """
    scale, sizes = Scale.from_json(dict(result["metric"])), result["bytes"]
    lines = [
        f"Wrote {result['path']}",
        f"dense    {bytes_text(sizes['dense'])}  {metric_with_interval(scale, Estimate(**result['dense']))}",
        f"pruned   {bytes_text(sizes['pruned'])} ({result['form']}; {bytes_text(sizes['pruned_zstd'])} after plain "
        f"zstd)  {_measured(scale, result['pruned'])}",
        f"written  {bytes_text(sizes['packed'])} ({_how(result)}; {share_text(sizes['share'])} of dense)"
        f"  {_measured(scale, result['quantized'])}",
    ]
    if result["own_drop"]:
        lines.append(f"quantizing alone costs {drop_with_interval(scale, Estimate(**result['own_drop']))}")
    return [*lines, *_left(result)]


def _how(result: Mapping[str, Any]) -> str:
    return f"int{result['bits']} {result['scheme']}{', packed' if result['scheme'] == 'weight' else ''}"


def _measured(scale: Scale, outcome: Mapping[str, Any]) -> str:
    if outcome["metric"] is None:
        return f"{outcome['state']}: {outcome['reason']}"
    drop = drop_with_interval(scale, Estimate(**outcome["drop"]))
    return f"{metric_with_interval(scale, Estimate(**outcome['metric']))}, drop {drop}"


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
