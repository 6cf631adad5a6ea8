"""What a run has measured so far, as readings for a tracker. No torch."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from core.jobs.known.plan_results import plan_results
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.plans.plan import Cut, SparsityPlan
from core.recovery.history import Round
from core.sensitivity.report import SETTLED, Estimate
from core.tracking.tracker import Reading

LONGEST = 500  # letters of a parameter's value, which every tracker takes


def parameters(run: Run) -> dict[str, str]:
    """What was asked of a run, and which; a plan by its fingerprint. What nobody asked for is left out."""
    asked: dict[str, Any] = dict(run.request)
    if isinstance(asked.get("plan"), Mapping):
        asked["plan"] = SparsityPlan.from_document(asked["plan"]).fingerprint()
    flat = {"run": run.id, "kind": run.kind, "model": run.workload, **_flat(asked)}
    return {name: str(value)[:LONGEST] for name, value in flat.items() if value not in (None, "", ())}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = json.dumps(value) if isinstance(value, list | tuple) else value
    return found


def readings(store: RunStore, run: Run) -> Iterator[Reading]:
    """All that is settled; of a run that has ended all that was measured."""
    if run.result is None:
        return
    if run.kind == "sweep":
        yield from _of_map(store, run)
    elif run.kind == "recover":
        yield from _of_rounds(run.result)
    elif run.kind == "measure" and not run.active:
        yield from _of_plan(store, run)


def _of_map(store: RunStore, run: Run) -> Iterator[Reading]:
    report = store.report(run)
    assert report is not None, "a run with a result has a map"
    if report.dense is not None:
        yield Reading("dense", 0, numbers("metric", report.dense))
    for cell in report.cells:
        if cell.drop is not None and (cell.stage in SETTLED or not run.active):
            values = {**numbers("metric", cell.metric), **numbers("drop", cell.drop)}
            told = {} if cell.cut.sparsity is None else {"sparsity": cell.cut.sparsity}
            yield Reading(curve(cell.cut), step(cell.cut), {**told, **values})


def _of_rounds(result: Mapping[str, Any]) -> Iterator[Reading]:
    if result.get("dense"):
        yield Reading("dense", 0, numbers("metric", Estimate(**result["dense"])))
    for row in map(Round.from_json, result.get("history", ())):
        measured = {**numbers("before", row.before), **numbers("after", row.after), **numbers("drop", row.drop)}
        yield Reading("round", row.iteration, {"sparsity": row.sparsity, **measured, "seconds": row.seconds})


def _of_plan(store: RunStore, run: Run) -> Iterator[Reading]:
    with store.workspace.connect() as db:
        found = [result for _, _, result in plan_results(db, run.workload) if result.run == run.id]
    for number, result in enumerate(found):
        if number == 0:
            yield Reading("dense", 0, numbers("metric", result.dense))
        if result.drop is not None:
            yield Reading(
                f"plan/{result.form}", 0, {**numbers("metric", result.metric), **numbers("drop", result.drop)}
            )


def numbers(name: str, found: Estimate | None) -> dict[str, float]:
    """A measured number with the ends of its interval and n; nothing of one that was not measured."""
    if found is None:
        return {}
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high, f"{name}_n": found.n}


def curve(cut: Cut) -> str:
    """What all cuts of a target have in common that differ in sparsity alone."""
    align = f"align {cut.align}" if cut.align > 1 else ""
    return "/".join(part for part in (cut.target, cut.granularity, cut.criterion, align) if part)


def step(cut: Cut) -> int:
    """Sparsity in per mille; 1000 of what goes whole."""
    return 1000 if cut.sparsity is None else round(1000 * cut.sparsity)
