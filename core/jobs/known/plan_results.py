"""What runs measured of whole plans, read from the workspace. No torch."""

import json
import sqlite3
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, TypeVar

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
_NEWEST = _MEASURED.replace("created, rowid", "created DESC, rowid DESC")
_PROFILED = (
    "SELECT id, request, result FROM runs WHERE workload = ? AND kind = 'profile' AND state = 'finished' "
    "AND result NOTNULL ORDER BY created, rowid"
)
_KEPT = 12 << 20  # letters of rows that are kept parsed: a finished run never changes, and a page asks every second
Found = tuple[SparsityPlan, str, PlanResult]
Read = TypeVar("Read")


class _Kept(Generic[Read]):
    """What was read of texts, the newest of so many letters: by number alone, a book of more would be read in vain."""

    def __init__(self, read: Callable[..., Read], letters: int = _KEPT) -> None:
        self._read, self._left = read, letters
        self._found: dict[tuple[Any, ...], Read] = {}
        self._lock = threading.Lock()

    def __call__(self, *row: Any) -> Read:
        with self._lock:
            if row in self._found:
                return self._found[row]
        found = self._read(*row)
        with self._lock:
            if row not in self._found:
                self._found[row] = found
                self._left -= _letters(row)
            while self._left < 0 and len(self._found) > 1:
                oldest = next(iter(self._found))
                del self._found[oldest]
                self._left += _letters(oldest)
        return found


def _letters(row: tuple[Any, ...]) -> int:
    return sum(len(text) for text in row if isinstance(text, str))


def plan_results(db: sqlite3.Connection, workload: str) -> list[Found]:
    """Everything that finished runs measured of plans, oldest run first: the plan, its fingerprint, the result.

    Runs of kind "measure", and exports, which measure what they write. A run of the shrunk form has measured the
    masked one as well, and comes twice.
    """
    rows = db.execute(_MEASURED, (workload,))
    return [found for those in readable(rows, lambda row: _results(*row), _named) for found in those]


def newest_model(db: sqlite3.Connection, workload: str) -> str | None:
    """Fingerprint of the dense model that a plan was measured on last; `None` if none was."""
    for row in db.execute(_NEWEST, (workload,)):
        if found := readable([row], lambda row: _results(*row), _named):
            return found[0][-1][2].model
    return None


def parsed_plan(text: str) -> tuple[SparsityPlan, str]:
    """The plan that a text holds, and its fingerprint."""
    return _PLANS(text)


def profiles(db: sqlite3.Connection, workload: str) -> dict[tuple[str, str], ProfileReport]:
    """The newest profile by fingerprints of plan and dense model."""
    rows = db.execute(_PROFILED, (workload,))
    return dict(found for found in readable(rows, lambda row: _profile(*tuple(row)[1:]), _named) if found is not None)


def _named(row: sqlite3.Row) -> str:
    return f"run {row['id']}"


def _plan(text: str) -> tuple[SparsityPlan, str]:
    plan = SparsityPlan.from_json(text)
    return plan, plan.fingerprint()


def _measured(run: str, kind: str, ended: float | None, request: str, result: str) -> tuple[Found, ...]:
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


_PLANS = _Kept(_plan)
_results = _Kept(_measured)
