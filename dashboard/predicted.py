"""What is known of a model's cuts, and the predictor made of it: kept until a run brings news."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from core.jobs.runs import Run
from core.plans.plan import Cut, SparsityPlan
from core.plans.prediction import Predictor
from core.sensitivity.report import CellResult, Estimate, interpolated
from core.tuning.predictor import MeasuredJoint, make_predictor
from core.workload.description import Description
from dashboard import workbench


@dataclass(frozen=True)
class Knowledge:
    """What sweeps and measured plans say.

    Attributes:
        cells: measured cuts.
        between: drops that are interpolated, see `interpolated`.
        predictor: `None` until a sweep has measured something.
    """

    cells: Mapping[Cut, CellResult]
    between: Mapping[Cut, float]
    predictor: Predictor | None


def knowledge(ref: str, found: Description) -> Knowledge:
    """What is known of the model as it is now."""
    seen = tuple((run.id, run.state, run.done) for run in (*workbench.sweeps(ref), *measured_runs(ref, found)))
    return _knowledge(str(workbench.runs().workspace.folder), ref, found.fingerprint, seen, found)


def measured_runs(ref: str, found: Description) -> tuple[Run, ...]:
    """Finished measurements of plans of the model as it is now, newest first."""
    ran = workbench.runs().list("measure", ref)
    return tuple(run for run in ran if run.state == "finished" and workbench.is_current(run, found))


@st.cache_resource(max_entries=8, show_spinner=False)
def _knowledge(folder: str, ref: str, fingerprint: str, seen: tuple[object, ...], _found: Description) -> Knowledge:
    cells = workbench.known_cells(ref, _found)
    dense = _dense(ref, _found)
    joints = [joint for run in measured_runs(ref, _found) if (joint := _joint(run)) is not None]
    predictor = make_predictor(cells.values(), _found.scale, dense, joints) if dense else None
    return Knowledge(cells, interpolated(cells.values()), predictor)


def _dense(ref: str, found: Description) -> Estimate | None:
    """The dense model's metric, of the sweep with most examples."""
    results = [run.result for run in workbench.sweeps(ref) if workbench.is_current(run, found)]
    known = [Estimate(**result["dense"]) for result in results if result and result.get("dense")]
    return max(known, key=lambda dense: dense.n, default=None)


def _joint(run: Run) -> MeasuredJoint | None:
    result = run.result or {}
    if not all(result.get(name) for name in ("dense", "pruned", "drop")):
        return None
    values = [Estimate(**result[name]) for name in ("dense", "pruned", "drop")]
    return MeasuredJoint(SparsityPlan.from_document(run.request["plan"]), *values)
