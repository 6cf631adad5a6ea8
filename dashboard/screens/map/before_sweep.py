"""What is known of a sweep before it starts: its cells, whether the examples are enough, about how long it takes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from core import numbers
from core.jobs.run import Run
from core.plans import cut_words
from core.plans.criteria import FACTS
from core.plans.patterns import parse_pattern
from core.sensitivity import sweep_words
from core.sensitivity.request import SweepRequest
from core.sensitivity.search.ray_address import where_text
from core.workload.description import Description
from dashboard.frame import workbench

NOT_KNOWN = "How long it takes is not known before the first batch: no sweep of this model has ended here yet."


def n_cells(request: SweepRequest, found: Description) -> int:
    """Cells that a sweep has at most: some cannot be cut, and say so.

    Raises:
        re.error: `layers` is no regular expression.
    """
    of_weights, of_channels = (
        sum(kind in FACTS[name].scores for name in request.criteria) for kind in ("weights", "channels")
    )
    patterns = [parse_pattern(text) for text in request.patterns]
    in_patterns = sum(len(request.sparsities) if pattern.is_tiles else 1 for pattern in patterns)
    each = {
        "weight": of_weights * (len(request.sparsities) * request.weights + in_patterns),
        "channel": of_channels * len(request.sparsities) * request.channels,
        "head": int(request.heads),
        "kv_group": int(request.heads),
        "block": int(request.blocks),
    }
    return sum(each[target.granularity] for target in found.targets if re.search(request.layers, target.name))


def what_text(request: SweepRequest) -> str:
    """`Removes channels & neurons and heads at 10 sparsities, chosen by magnitude.`"""
    kinds = {"weight": request.weights, "channel": request.channels, "head": request.heads, "block": request.blocks}
    named = [*(kind for kind, is_cut in kinds.items() if is_cut), *request.patterns]
    what = " and ".join(cut_words.granularity_text(kind) for kind in named)
    by = ", ".join(request.criteria)
    made_up = (
        f" After each cut, what stays makes up for what went (repair: {request.repair})." if request.repair else ""
    )
    return f"Removes {what} at {len(request.sparsities)} sparsities, chosen by {by}.{made_up}"


def lines(ref: str, found: Description, request: SweepRequest, tolerance: float) -> list[str]:
    """Before a sweep starts, a thought a line.

    Args:
        ref, found: the model.
        request: with a number of examples.
        tolerance: that is looked for, in the metric's unit.
    """
    try:
        cells = n_cells(request, found)
    except re.error:
        return []  # Measure refuses it, and says where
    assert isinstance(request.samples, int)
    told = [f"{cells:,} cell{'s' * (cells != 1)}, each on {request.samples:,} examples, from the dense weights."]
    if request.mode != "exact":
        told = [f"{cells:,} cell{'s' * (cells != 1)}, each on at most {request.samples:,} examples."]
    if enough := sweep_words.enough_text(found.scale, tolerance, request.samples):
        told.append(f"{enough}.")
    current = [run for run in workbench.sweeps(ref) if workbench.is_current(run, found)]
    return [*told, time_text(current, request, cells)]


def time_text(runs: Sequence[Run], request: SweepRequest, cells: int) -> str:
    """About how long it takes, by an earlier sweep of the model in this workspace; or that it is not known.

    Args:
        runs: earlier sweeps, newest first.
        request: with a number of examples.
        cells: of it.
    """
    assert isinstance(request.samples, int)
    told = [run for run in runs if run.state == "finished" and (run.result or {}).get("cost")]
    alike = [run for run in told if _kinds(run.request) == _kinds(vars(request))]
    for run in alike or told:
        pace = _pace((run.result or {})["cost"])
        if pace is None:
            continue
        text = numbers.seconds_text(pace * cells * request.samples)
        most = "" if request.mode == "exact" else "at most "
        measured = "what is measured already takes none."
        if (before := run.request.get("ray")) != request.ray:
            measured += f" That sweep ran {where_text(before)}, this one {where_text(request.ray)}."
        return f"An estimate, by the pace of sweep {run.id}: {most}{text}; {measured}"
    return NOT_KNOWN


def _pace(cost: Mapping[str, Any]) -> float | None:
    """Seconds of one cell on one example, as a sweep foretold its own; `None` if next to all was known to it."""
    fresh = 1 - cost["n_known"] / max(1, cost["n_total"])
    work = cost["n_cells"] * cost["n_examples"] * fresh
    return cost["seconds"] / work if work and fresh > 0.05 else None


def _kinds(request: Mapping[str, Any]) -> tuple[bool, ...]:
    usual = {"weights": True, "heads": True}
    return tuple(bool(request.get(name, usual.get(name, False))) for name in ("weights", "channels", "heads", "blocks"))
