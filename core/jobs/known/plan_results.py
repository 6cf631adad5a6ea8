"""What runs measured of whole plans, read from the workspace. No torch."""

import json
import sqlite3
from functools import lru_cache
from typing import Any

from core.jobs.known.kept_plan import PlanResult
from core.jobs.known.left_out import readable
from core.plans.plan import Form, SparsityPlan
from core.profiling.report import ProfileReport
from core.sensitivity.report import Estimate, State
from core.workload.scale import Scale

_MEASURED = (
    "SELECT id, kind, ended, request, result FROM runs WHERE workload = ? AND kind IN ('measure', 'export') "
    "AND state = 'finished' AND result NOTNULL ORDER BY created, rowid"
)
_PROFILED = (
    "SELECT id, request, result FROM runs WHERE workload = ? AND kind = 'profile' AND state = 'finished' "
    "AND result NOTNULL ORDER BY created, rowid"
)
_KEPT = 512  # parsed rows: a finished run never changes, and a page asks every second
Found = tuple[SparsityPlan, str, PlanResult]


def plan_results(db: sqlite3.Connection, workload: str) -> list[Found]:
    """Everything that finished runs measured of plans, oldest run first: the plan, its fingerprint, the result.

    Runs of kind "measure", and exports, which measure what they write. A run of the shrunk form has measured the
    masked one as well, and comes twice.
    """
    rows = db.execute(_MEASURED, (workload,))
    return [found for those in readable(rows, lambda row: _results(*row), _named) for found in those]


def profiles(db: sqlite3.Connection, workload: str) -> dict[tuple[str, str], ProfileReport]:
    """The newest profile by fingerprints of plan and dense model."""
    rows = db.execute(_PROFILED, (workload,))
    return dict(found for found in readable(rows, lambda row: _profile(*tuple(row)[1:]), _named) if found is not None)


def _named(row: sqlite3.Row) -> str:
    return f"run {row['id']}"


@lru_cache(_KEPT)
def parsed_plan(text: str) -> tuple[SparsityPlan, str]:
    """The plan that a text holds, and its fingerprint."""
    plan = SparsityPlan.from_json(text)
    return plan, plan.fingerprint()


@lru_cache(_KEPT)
def _results(run: str, kind: str, ended: float | None, request: str, result: str) -> tuple[Found, ...]:
    plan = SparsityPlan.from_document(json.loads(request)["plan"])
    fields = json.loads(result)
    if kind == "export":
        manifest = fields["manifest"]
        fields = {**manifest["measured"], "model": manifest.get("dense_model"), "shrunk": manifest.get("shrunk")}

    def found(form: Form, state: State, reason: str | None, metric: Any, drop: Any) -> Found:
        measured = PlanResult(
            run,
            fields.get("model"),
            form,
            ended or 0.0,
            Scale.from_json(fields["metric"]),
            state,
            reason,
            Estimate(**fields["dense"]),
            Estimate(**metric) if metric else None,
            Estimate(**drop) if drop else None,
            fields["n_removed"],
            fields["n_weights"],
        )
        return plan, plan.fingerprint(), measured

    masked = found("masked", fields["state"], fields["reason"], fields["pruned"], fields["drop"])
    shrunk = fields.get("shrunk")
    if not shrunk:
        return (masked,)
    if shrunk["metric"] is None:
        return masked, found("shrunk", "failed", "the shrunk model's scores cannot be calculated with", None, None)
    return masked, found("shrunk", fields["state"], fields["reason"], shrunk["metric"], shrunk["drop"])


@lru_cache(64)
def _profile(request: str, result: str) -> tuple[tuple[str, str], ProfileReport] | None:
    document, fields = json.loads(request)["plan"], json.loads(result)
    if not document:  # of the dense model alone
        return None
    return (SparsityPlan.from_document(document).fingerprint(), fields["model"]), ProfileReport.from_json(fields)
