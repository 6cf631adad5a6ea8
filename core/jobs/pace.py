"""How long measuring a plan should take, from what measuring took before. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.plans.plan import Form

PASSES = 2  # over the examples: the dense model's and the pruned one's
NEWEST = 8  # runs that are looked at


@dataclass(frozen=True)
class Pace:
    """What measuring a plan should take: a prediction, made of measured times.

    Attributes:
        start: seconds that do not hang on the number of examples.
        per_example: seconds.
        source: what was timed, for a person.
    """

    start: float
    per_example: float
    source: str

    def seconds(self, n: int) -> float:
        """For `n` examples."""
        return self.start + self.per_example * n


def pace_of(runs: RunStore, workload: str, form: Form = "masked") -> Pace | None:
    """How long measuring a plan of a workload should take on this machine; `None` before anything of it was timed.

    By the plans that were measured last: a line through their times where they were of several numbers of examples,
    else in proportion. Before any, by the full passes that a sweep has timed.

    Args:
        runs: of the workspace.
        workload: name or path.
        form: in which plans are to be measured; a smaller model has to be made first, so other forms tell nothing.
    """
    timed = [found for run in runs.list("measure", workload) if (found := _timed(run, form)) is not None][:NEWEST]
    if timed:
        return _line(timed)
    for run in runs.list("sweep", workload):
        cost = (run.result or {}).get("cost")
        if run.state == "finished" and cost and cost["n_cells"] and cost["n_examples"]:
            each = cost["full_seconds"] / (cost["n_cells"] * cost["n_examples"])
            return Pace(0.0, PASSES * each, "the full passes that a sweep has timed")
    return None


def _timed(run: Run, form: Form) -> tuple[int, float] | None:
    """Examples and seconds of a finished measurement that was a run of its own."""
    if run.state != "finished" or run.started is None or run.ended is None or run.started <= run.created:
        return None
    dense = (run.result or {}).get("dense")
    if dense is None or (run.request.get("form") or "masked") != form:
        return None
    return int(dense["n"]), run.ended - run.started


def _line(timed: Sequence[tuple[int, float]]) -> Pace:
    n, seconds = timed[0]
    source = f"the plan that was measured last: {seconds:.3g} s on {n:,} examples"
    others = [(m, took) for m, took in timed if m != n]
    if others:
        m, took = others[0]
        each = (seconds - took) / (n - m)
        start = seconds - each * n
        if each > 0 and start >= 0:
            return Pace(start, each, f"the plans that were measured last, on {m:,} and on {n:,} examples")
    return Pace(0.0, seconds / n, source)
