"""Rows of kept plans in the workspace."""

import json
import sqlite3

from core.jobs.known.kept_plan import ID_DIGITS, MAKERS, KeptPlan, KeptPrediction, PlanResult
from core.jobs.known.left_out import readable
from core.jobs.known.plan_results import parsed_plan
from core.plans.plan import SparsityPlan
from core.plans.prediction import Prediction

Results = list[tuple[SparsityPlan, str, PlanResult]]


def all_kept(db: sqlite3.Connection, workload: str, model: str | None, results: Results) -> tuple[KeptPlan, ...]:
    """Every plan that was kept or measured, newest first, with what was predicted of it for a model.

    Args:
        results: all that were measured, oldest first.
    """
    rows = db.execute("SELECT * FROM predictions WHERE workload = ? AND model = ?", (workload, model))
    predictions = dict(
        readable(
            rows, lambda row: (row["plan"], _prediction(row)), lambda row: _called(row, "what was predicted of plan")
        )
    )
    found: dict[str, KeptPlan] = {}
    for plan, fingerprint, result in results:  # the oldest result first, which says since when it is known
        if fingerprint not in found:
            found[fingerprint] = KeptPlan(workload, plan, None, None, result.ended)
    rows = db.execute("SELECT * FROM plans WHERE workload = ?", (workload,))
    kept = readable(rows, lambda row: _plan(row, predictions.get(row["plan"])), lambda row: _called(row, "kept plan"))
    found.update((one.fingerprint, one) for one in kept)
    return tuple(sorted(found.values(), key=lambda one: (-one.created, one.fingerprint)))


def _called(row: sqlite3.Row, what: str) -> str:
    return f"{what} {str(row['plan'])[:ID_DIGITS]}"


def _prediction(row: sqlite3.Row) -> KeptPrediction:
    return KeptPrediction(
        Prediction.from_json(json.loads(row["prediction"])), row["model"], row["made"], row["n_plans"]
    )


def _plan(row: sqlite3.Row, prediction: KeptPrediction | None) -> KeptPlan:
    plan, fingerprint = parsed_plan(row["document"])
    if fingerprint != row["plan"]:
        raise ValueError("it is another plan than its fingerprint says")
    if row["made_by"] is not None and row["made_by"] not in MAKERS:
        raise ValueError("nobody makes plans by that name")
    return KeptPlan(
        row["workload"],
        plan,
        row["made_by"],
        row["parent"][:ID_DIGITS] if row["parent"] else None,
        row["created"],
        row["name"],
        row["note"],
        json.loads(row["goal"]) if row["goal"] else None,
        prediction,
    )


def ancestors(db: sqlite3.Connection, workload: str, fingerprint: str | None) -> set[str]:
    """A plan and all that it was made from."""
    seen: set[str] = set()
    while fingerprint is not None and fingerprint not in seen:
        seen.add(fingerprint)
        row = db.execute("SELECT parent FROM plans WHERE workload = ? AND plan = ?", (workload, fingerprint)).fetchone()
        fingerprint = row["parent"] if row else None
    return seen


def set_column(db: sqlite3.Connection, one: KeptPlan, column: str, value: str | None) -> None:
    """Write a column of a plan; one that only a run knew gets a row for it."""
    db.execute(
        "INSERT OR IGNORE INTO plans VALUES (?, ?, ?, NULL, NULL, ?, NULL, NULL, NULL)",
        (one.workload, one.fingerprint, one.plan.to_json(), one.created),
    )
    db.execute(f"UPDATE plans SET {column} = ? WHERE workload = ? AND plan = ?", (value, one.workload, one.fingerprint))
