"""What is known of a model's cuts, and the predictor made of it: kept until a run brings news."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import streamlit as st

from core.jobs.known import findings
from core.jobs.known.variants import dense_metric
from core.jobs.run import Kind
from core.plans.costs.savings import SavedTime
from core.plans.costs.steps import Ends
from core.plans.plan import FRACTIONAL, Cut, SparsityPlan
from core.plans.prediction import Predictor
from core.sensitivity.report import CellResult, Estimate, interpolated, largest_within
from core.workload.description import Description
from dashboard.frame import workbench
from dashboard.screens.model import stairs_panel
from dashboard.tuner.costs import CostKind, cost_kinds, with_costs
from dashboard.tuner.goals import moving, spared
from dashboard.tuner.rows import TunerRow

Within = Mapping[tuple[str, str], float]  # the most within the tolerance, by granularity and name
Seen = tuple[tuple[object, ...], ...]
MEASURING: tuple[Kind, ...] = (
    "measure",
    "export",
    "profile",
    "stairs",
)  # what else than sweeps brings news, once it has ended


@dataclass(frozen=True)
class Knowledge:
    """What sweeps and measured plans say.

    Attributes:
        repair: that all of it was measured with; `None` for raw cuts.
        cells: measured cuts.
        between: drops that are interpolated, see `interpolated`.
        predictor: `None` until a sweep has measured something.
        saved: time that cuts save, of the newest profile that knows, or in an engine; `None` if nobody does.
        engine: whose milliseconds these are; `None` for eager torch.
        ends: of an engine, the widths of coupled groups at which its steps end; goals leave those alone.
        kinds: of cost that can be counted.
        seen: the runs that it rests on.
        moving: by kind of cost, the granularities that a goal moves.
        spared: keys of rows that no goal cuts.
        dense: the dense model's metric on the most examples that any run took: what everything stands beside.
    """

    repair: str | None
    cells: Mapping[Cut, CellResult]
    between: Mapping[Cut, float]
    predictor: Predictor | None
    saved: SavedTime | None
    engine: str | None
    ends: Ends
    kinds: tuple[CostKind, ...]
    seen: Seen
    moving: Mapping[str, Sequence[str]]
    spared: frozenset[str]
    dense: Estimate | None = None


def knowledge(ref: str, found: Description, repair: str | None) -> Knowledge:
    """What is known of the model as it is now, of plans with a repair or of raw ones: neither tells of the other.

    Args:
        ref, found: the model.
        repair: of the plan; `None` for none.
    """
    runs = workbench.runs()
    ended = (run for kind in MEASURING for run in runs.list(kind, ref) if run.state == "finished")
    ran = (*workbench.sweeps(ref), *ended)
    seen = (*((run.id, run.state, run.done) for run in ran), ("memory", found.memory is not None))
    engine = chosen_engine(ref, found)
    return _knowledge(str(workbench.runs().workspace.folder), ref, found.fingerprint, repair, seen, engine, found)


def engine_key(ref: str) -> str:
    """Of the control that says whose milliseconds count."""
    return f"milliseconds-on-{ref}"


def engines(ref: str, found: Description) -> tuple[str, ...]:
    """Engines in which staircases of the model were measured, the newest first."""
    return tuple(stairs_panel.known(ref, found))


def chosen_engine(ref: str, found: Description) -> str | None:
    """Whose milliseconds count: the engine that was chosen, if its staircases are known still."""
    chosen = st.session_state.get(engine_key(ref))
    return chosen if chosen in engines(ref, found) else None


def costed(rows: Sequence[TunerRow], found: Description, known: Knowledge) -> tuple[TunerRow, ...]:
    """Rows with their costs, which depend on how they are cut and at which levels, not on the plan's sparsities."""
    how = tuple((row.key, row.criterion, row.align) for row in rows)
    folder = str(workbench.runs().workspace.folder)
    costs = _costs(folder, found.fingerprint, how, known.seen, known.engine, rows, found, known)
    return tuple(replace(row, costs=of) for row, of in zip(rows, costs, strict=True))


@st.cache_resource(max_entries=16, show_spinner=False)
def _costs(
    folder: str, fingerprint: str, how: tuple[object, ...], seen: Seen, engine: str | None,
    _rows: Sequence[TunerRow], _found: Description, _known: Knowledge,
) -> tuple[Mapping[str, tuple[float, ...]], ...]:  # fmt: skip
    return tuple(row.costs for row in with_costs(_rows, _known.kinds, _found, _known.saved))


def limits(known: Knowledge, found: Description, tolerance: float, plan: SparsityPlan, align: int) -> Within:
    """The most that each target can lose within a tolerance; of groups, with their alignment in the plan.

    Args:
        known: of the model.
        found: the model.
        tolerance: in the metric's unit.
        plan: says how its groups are aligned.
        align: of groups that the plan does not name.
    """
    aligned = tuple((cut.target, cut.align) for cut in plan.cuts if cut.granularity == "channel")
    folder = str(workbench.runs().workspace.folder)
    return _limits(folder, found.fingerprint, known.repair, known.seen, tolerance, aligned, align, known)


@st.cache_resource(max_entries=16, show_spinner=False)
def _limits(
    folder: str, fingerprint: str, repair: str | None, seen: Seen, tolerance: float,
    aligned: tuple[tuple[str, int], ...], usual: int, _known: Knowledge,
) -> Within:  # fmt: skip
    named = dict(aligned)
    alike = [
        cell
        for cut, cell in _known.cells.items()
        if cut.granularity != "channel" or named.get(cut.target, usual) == cut.align
    ]
    return {
        (kind, name): limit
        for kind in FRACTIONAL
        for name, limit in largest_within(alike, tolerance, kind).items()
    }  # fmt: skip


@st.cache_resource(max_entries=8, show_spinner=False)
def _knowledge(
    folder: str, ref: str, fingerprint: str, repair: str | None, seen: Seen, engine: str | None, _found: Description
) -> Knowledge:
    runs = workbench.runs()
    cells, saved = workbench.known_cells(ref, _found, repair), findings.saved_time_of(runs, _found, engine)
    predictor = findings.predictor_of(runs, _found, workbench.report_of, repair=repair)
    kinds = cost_kinds(_found, saved)
    return Knowledge(
        repair,
        cells,
        interpolated(cells.values()),
        predictor,
        saved,
        engine,
        findings.ends_of(runs, _found, None, engine)[0],
        kinds,
        seen,
        moving(predictor),
        spared(predictor, _found),
        dense_metric(runs, _found),
    )
