"""Runs in words: labels that tell them apart, what was removed, how to ask for the same again. No torch."""

import shlex
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from core.jobs.run import Run
from core.jobs.state_words import state_text
from core.plans.cut_words import granularity_text
from core.plans.repairs import repair_words
from core.sensitivity.request import DEFAULT_SPARSITIES, Mode
from core.sensitivity.search.ray_address import where_text

MODES: Mapping[Mode, str] = MappingProxyType({"exact": "", "race": "until decided", "tolerance": "limits only"})


def when_text(run: Run) -> str:
    """`2026-05-01 14:30`, when it was asked for, in local time."""
    return datetime.fromtimestamp(run.created).strftime("%Y-%m-%d %H:%M")


def removed_words(request: Mapping[str, Any]) -> str:
    """What a sweep removes: `weights, heads`, `channels & neurons by wanda`; nothing of another run."""
    if "sparsities" not in request:
        return ""
    kinds = [
        *(["weight"] if request.get("weights", True) and request["sparsities"] else []),
        *(["channel"] if request.get("channels") else []),
        *(request.get("patterns") or ()),
        *(["head"] if request.get("heads") else []),
        *(["block"] if request.get("blocks") else []),
    ]
    criteria = request.get("criteria") or [request.get("criterion", "magnitude")]
    by = "" if list(criteria) == ["magnitude"] else f" by {', '.join(criteria)}"
    return ", ".join(granularity_text(kind) for kind in kinds) + by


def run_label(run: Run) -> str:
    """One line that tells a run from others: what a person calls it first, then when, how, what, n and state.

    The state is told without how far it is, which would be stale while it works.
    """
    request, result = run.request, run.result or {}
    mode = "dry run" if request.get("dry_run") else MODES.get(request.get("mode", "exact"), "")
    n = f"n {'=' if mode == '' else '≤'} {result['n']:,}" if result.get("n") else ""
    layers = f"layers {request['layers']}" if request.get("layers") else ""
    shard = f"shard {request['shard']}" if request.get("shard") else ""
    ray = where_text(request["ray"]) if request.get("ray") else ""
    state = "under way" if run.active else "" if run.state == "finished" else state_text(run)
    parts = (run.name, when_text(run), removed_words(request) or run.kind, mode, repair_words(request.get("repair")))
    star = "★ " if run.star else ""
    return star + " · ".join(part for part in (*parts, shard, ray, layers, n, state, run.id) if part)


_FLAGS = (("heads", True), ("weights", True), ("channels", False), ("blocks", False), ("preview", True))
_VALUES = (
    ("layers", "", "--layers"), ("samples", None, "--samples"), ("device", "cpu", "--device"),
    ("mode", "exact", "--mode"), ("align", 1, "--align"), ("repair", None, "--repair"), ("seed", 0, "--seed"),
    ("shard", None, "--shard"), ("ray", None, "--ray"),
)  # fmt: skip


def sweep_command(run: Run, factor: float = 1.0) -> str:
    """What asks for the same sweep in a terminal, as `shlex` quotes it.

    Args:
        run: of kind `"sweep"`.
        factor: of the metric's scale, for drops are typed in points of a fraction.
    """
    asked = run.request
    words = ["secateur", "sweep", run.workload]
    if tuple(asked["sparsities"]) != DEFAULT_SPARSITIES:
        words += ["--sparsities", ",".join(f"{value:g}" for value in asked["sparsities"])]
    for name, usual in _FLAGS:
        if asked.get(name, usual) != usual:
            words.append(f"--{'no-' if usual else ''}{name}")
    criteria = asked.get("criteria") or [asked.get("criterion", "magnitude")]
    words += ["--criteria", ",".join(criteria)] if list(criteria) != ["magnitude"] else []
    words += ["--patterns", ",".join(asked["patterns"])] if asked.get("patterns") else []
    for name, usually, option in _VALUES:
        if (value := asked.get(name, usually)) != usually:
            words += [option, str(value)]
    if asked.get("mode", "exact") != "exact":
        words += ["--rule", asked.get("rule", "sampling")]
        for name, option in (("tolerance", "--within"), ("width", "--interval")):
            words += [option, f"{asked[name] * factor:.10g}"] if asked.get(name) is not None else []
    words += ["--dry-run"] if asked.get("dry_run") else []
    return shlex.join(words)
