"""Which examples were looked at by what may have chosen a plan: read from the runs of its model. No torch."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from core.jobs.known.findings import is_current, sweep_reports
from core.jobs.known.judging import Part, part_after_sweeps, search_part, swept_examples
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.plans.plan import SparsityPlan
from core.plans.repairs import REPAIRS
from core.workload.description import Description


def part_after_choosing(
    runs: RunStore,
    found: Description,
    plan: SparsityPlan,
    n_all: int,
    wanted: int | None = None,
    but: Collection[str] = (),
) -> Part:
    """A part of the evaluation examples that nothing looked at by which a plan may have been chosen.

    Sweeps, pairs, anchors, searches, refining, frontiers and the judge of recoveries count, whatever plan they
    were about, for predictions and people learn from all of them; of maps inside a plan those of a plan that this one
    is a part of. Measuring, certifying or delivering a plan chooses none.

    Args:
        runs: of the workspace.
        found: the model.
        plan: that is to be judged.
        n_all, wanted: as for `judging_part`.
        but: kinds of runs that are known not to have chosen it.

    Returns:
        The examples after all those; where too few are left the ones after the sweeps, or the first, not `unseen`.
    """
    reports = [one for repair in (None, *REPAIRS) for one in sweep_reports(runs, found, repair=repair)]
    choosers = [run for run in runs.list(None, found.ref) if run.kind not in but and _may_have_chosen(run, found, plan)]
    used = max((_looked_at(run, n_all, swept_examples(reports)) for run in choosers), default=0)
    part = part_after_sweeps(reports, n_all, wanted, used)
    if any(run.request.get("seed") for run in choosers):  # of an order of its own: some of them are in every part
        part = replace(part, unseen=False)
    if part.skip < used:  # all were looked at; the ones that no sweep saw flatter the least
        part = replace(part_after_sweeps(reports, n_all, wanted), unseen=False)
    return part


def _may_have_chosen(run: Run, found: Description, plan: SparsityPlan) -> bool:
    if not is_current(run, found.fingerprint):
        return False
    if run.kind == "undo":
        theirs = set(SparsityPlan.from_document(dict(run.request["plan"])).cuts)
        return set(plan.cuts) < theirs
    return run.kind in ("pairs", "anchors", "minimise", "refine", "frontier", "recover")


def _looked_at(run: Run, n_all: int, swept: int) -> int:
    """So many examples of the order of seed 0, from the first on, up to the last that a run looked at."""
    result: Mapping[str, Any] = run.result or {}
    if run.kind == "minimise":
        n_search, part = search_part(run.request["samples"], n_all)
        return n_search + (part.n if part is not None and result.get("judged") else 0)
    if run.kind == "recover":
        told = [row["after"]["n"] for row in result.get("history", ()) if row["after"]]
        return max(told, default=0)
    if run.kind in ("undo", "anchors", "frontier"):  # older ones did not say where they began
        return int(result.get("skip", swept if result["unseen"] else 0)) + int(result["n"])
    return int(result.get("n", 0))
