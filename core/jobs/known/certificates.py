"""What runs have certified. No torch."""

from core.certificates.certificate import Certificate
from core.jobs.runs import RunStore
from core.plans.plan import SparsityPlan


def certificates_of(runs: RunStore, workload: str, model: str | None, plan: SparsityPlan) -> tuple[Certificate, ...]:
    """Certificates of a plan of the model as it is, of finished runs, newest first.

    Args:
        runs: of the workspace.
        workload: name or path, as runs have it.
        model: fingerprint of the model as it is; `None` where its name tells that, as of a recovered round.
        plan: that was judged.
    """
    found = []
    for run in runs.list("certify", workload):
        result = run.result or {}
        if run.state == "finished" and model in (None, result.get("model")) and result.get("certificate"):
            certificate = Certificate.from_json(result["certificate"])
            if certificate.plan == plan.fingerprint():
                found.append(certificate)
    return tuple(found)


def best_certificate(found: tuple[Certificate, ...]) -> Certificate | None:
    """The one to show: of those that certify the one with the lowest bound, else the newest."""
    certified = [one for one in found if one.state == "certified"]
    return min(certified, key=lambda one: one.bound) if certified else next(iter(found), None)
