"""What runs have certified, and which models were looked at on the same examples. No torch."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

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


def looks(runs: RunStore, examples: str) -> dict[str, int]:
    """Models that certificates and gates have looked at on the same examples, each with its number.

    Args:
        runs: of the workspace.
        examples: fingerprint of those that were set aside.

    Returns:
        Numbers by what identifies the model: the key of its evidence, or of one that a gate compared its weights.
    """
    found: dict[str, int] = {}
    for run in (*reversed(runs.list("certify")), *reversed(runs.list("gate"))):
        result = run.result or {}
        if result.get("examples") == examples:
            found.update(result["looks"] if run.kind == "gate" else {result["cell"]: result["number"]})
    return found


def next_number(known: Mapping[str, int]) -> int:
    """The number of the next model: workspaces that were merged may have given one twice."""
    return 1 + max([len(known), *known.values()])


def note_gate(runs: RunStore, workload: str, request: Mapping[str, Any], examples: str, models: Sequence[str]) -> None:
    """Note that a gate looks at examples that are set aside, before it does: whoever stops it has looked.

    Args:
        runs: of the workspace.
        workload: reference of what the models were made of.
        request: what was asked of the gate.
        examples: fingerprint of what is set aside.
        models: fingerprints of the weights that it compares with the dense ones.
    """
    known = looks(runs, examples)
    for model in (f"gate:{one}" for one in models):
        known.setdefault(model, next_number(known))
    ours = {name: known[name] for name in (f"gate:{one}" for one in models)}
    result = {"examples": examples, "looks": ours}
    runs.note_finished("gate", workload, request, result, time.time())


def best_certificate(found: tuple[Certificate, ...]) -> Certificate | None:
    """The one to show: of those that certify the one with the lowest bound, else the newest."""
    certified = [one for one in found if one.state == "certified"]
    return min(certified, key=lambda one: one.bound) if certified else next(iter(found), None)
