"""What the worker does for the runs that tune: anchors, and the cheapest plan within a tolerance."""

from core import wording
from core.errors import SecateurError
from core.jobs.findings import predictor_of
from core.jobs.measuring import measured_and_noted, measurement_for
from core.jobs.plan_book import PlanBook
from core.jobs.runs import Run, RunStore
from core.plans.prediction import Predictor
from core.tuning.anchors import anchor_plans
from core.tuning.request import AnchorsRequest
from core.workload.description import Description
from core.workload.workload import Workload


def do_anchors(run: Run, workload: Workload, runs: RunStore) -> None:
    """Measure plans that tell how cuts interact; those that were measured before cost nothing."""
    request = AnchorsRequest(**run.request)
    found, predictor = known_of(run, runs)
    plans = anchor_plans(predictor, request.granularities, request.n)
    if not plans:
        words = ", ".join(wording.granularity_text(one).lower() for one in request.granularities)
        raise SecateurError(
            f"no cut of {words} of {found.name} was measured to do any harm: nothing to make plans of; sweep first"
        )
    book = PlanBook(runs.workspace)
    runs.update(run.id, total=len(plans), phase=f"measuring {len(plans)} plans")
    kept = []
    with measurement_for(run, workload, runs, request.samples, 0, request.device) as measurement:
        for done, plan in enumerate(plans, start=1):
            of_plan = book.keep(
                run.workload, plan, "anchor", prediction=predictor.predict(plan), n_plans=predictor.n_plans
            )
            measured_and_noted(run, runs, measurement, plan, request.samples, request.device)
            kept.append(of_plan.id)
            runs.update(run.id, done=done)
        runs.update(run.id, result={"model": measurement.model_hash, "plans": kept})


def known_of(run: Run, runs: RunStore) -> tuple[Description, Predictor]:
    """The model and what predicts its plans.

    Raises:
        SecateurError: nothing was measured yet.
    """
    described = runs.description(run.workload)
    predictor = predictor_of(runs, described[0]) if described is not None else None
    if described is None or predictor is None:
        raise SecateurError(
            f"no cut of {run.workload} was measured on the model as it is now; `secateur sweep {run.workload}` first"
        )
    return described[0], predictor
