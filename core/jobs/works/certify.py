"""What the worker does to certify a plan on examples that nothing was chosen by."""

import time
from typing import Any

import torch

from core.certificates.certificate import Certificate
from core.certificates.certifying import Asked, certify, check_askable, examples_for, held_fingerprint, part_for
from core.certificates.trained import check_trained
from core.certificates.used import used_examples
from core.errors import SecateurError
from core.jobs.checking.aside import keys_aside
from core.jobs.known.certificates import looks, next_number
from core.jobs.run import Run
from core.jobs.runs import RunStore
from core.jobs.works.measuring import measurement_for
from core.plans.plan import SparsityPlan
from core.workload.workload import Workload

TELL_SECONDS = 0.5
# kinds of runs from whose numbers a plan may have been chosen
CHOOSING = ("sweep", "pairs", "measure", "anchors", "minimise", "refine", "recover", "bits", "quantize", "export")


def do_certify(run: Run, workload: Workload, runs: RunStore) -> None:
    """Refuse what was chosen by, then measure batch by batch. A run that goes on takes what is on disk."""
    plan = SparsityPlan.from_document(run.request["plan"])
    check_model(workload, plan)
    asked = Asked(run.request["within"], run.request["confidence"])
    on, n = examples_for(workload)
    check_askable(workload, n, asked)
    with measurement_for(run, on, runs, n, 0, run.request["device"], part=part_for(workload)) as measurement:
        measurement.prepare(plan)
        cell, examples = measurement.cell_key(plan), held_fingerprint(measurement)
        numbers = looks(runs, examples)
        check_unused(run, runs, workload, torch.cat(measurement.batches.positions), set(numbers))
        number = numbers.get(cell, next_number(numbers))
        asked = Asked(asked.within, asked.confidence, number)
        check_askable(workload, n, asked)
        result: dict[str, Any] = {
            "model": measurement.model_hash, "cell": cell, "examples": examples, "number": number, "certificate": None,
        }  # fmt: skip
        # before the first look: whoever stops this run has looked
        runs.update(run.id, result=result, total=n, phase="measuring on examples that nothing was chosen by")
        told = 0.0

        def tell(certificate: Certificate) -> None:
            nonlocal told
            result["certificate"] = certificate.to_json()
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                runs.update(run.id, done=certificate.n, result=result)

        found = certify(measurement, plan, asked, tell)
        result["certificate"] = found.to_json()
    runs.update(run.id, result=result, total=found.n, done=found.n)


def check_model(workload: Workload, plan: SparsityPlan) -> None:
    """Refuse what is the dense model, and a trained one of which nobody knows what it has seen.

    Raises:
        SecateurError: it is one of these.
    """
    if workload.teacher is not None:
        check_trained(workload)
    elif not plan.cuts:
        raise SecateurError("the plan cuts nothing, so there is nothing to certify; name a plan with cuts")


def check_unused(run: Run, runs: RunStore, workload: Workload, held: torch.Tensor, certified: set[str]) -> None:
    """Refuse examples that some cut was measured on outside of a certificate.

    Args:
        run: that certifies.
        runs: of the workspace.
        workload: that is certified.
        held: positions in the evaluation data, or in the holdout that the workload names.
        certified: cells that certificates have looked at on them.

    Raises:
        SecateurError: there are some, or data were others when something was chosen by them.
    """
    mend = "name examples that nothing has looked at: Workload(holdout=Examples(…))"
    if workload.holdout is None:
        now = runs.get(run.id).data
        names = {run.workload, *(stage.workload for stage in workload.origin)}
        for one in (one for name in names if name is not None for one in runs.list(workload=name)):
            if one.kind in CHOOSING and one.data not in (None, now):
                raise SecateurError(
                    f"refused: the evaluation data of {one.workload} were others when run {one.id} ({one.kind}) chose "
                    f"by them, and which of today's it saw is not known; {mend}, or begin a fresh --workspace"
                )
    examples, place = workload.holdout or workload.evaluation, runs.workspace
    batches = [key[0] for key in keys_aside(place, "batches")]
    rows = [(key[0], key[1]) for key in keys_aside(place, "evidence")]
    used = used_examples(place, examples, held, certified, batches, rows)
    if used:
        raise SecateurError(
            f"refused: these examples were used for choosing: cuts were measured on {used:,} of the {len(held):,} that "
            f"a certificate needs unseen (by a run that named more samples, or by an older Secateur); {mend}"
        )
