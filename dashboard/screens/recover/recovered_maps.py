"""The sensitivity maps of the dense model and of a recovered one, side by side: same cells, same colours."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs.known.kept_rounds import recovered_path, write_recovered
from core.jobs.launch import start_sweep
from core.jobs.run import Run
from core.sensitivity.maps.layout import Grid, block_grid, head_grid, sparsity_grid
from core.sensitivity.report import SensitivityReport
from core.sensitivity.request import SweepRequest
from core.workload.description import Description
from dashboard.frame import help, measured, run_state, workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.strip import time_text
from dashboard.maps.component import map_view
from dashboard.maps.data import map_data, map_text

NAMES = ("Dense", "Recovered")
KINDS = (  # as on the Map screen, but for the percent signs: there is room for half as much
    ("cells", sparsity_grid, "layer × sparsity, %"),
    ("heads", head_grid, "attention layer × head, that head removed"),
    ("blocks", block_grid, "blocks, each skipped in turn"),
)
NOTE = "Each square is the drop from that model's own metric, on its own examples as named above."
MAGNITUDE_NOTE = (
    "The smallest weights go first, so a cut of weights that recovery has set to zero already has no effect."
)


def pair(dense: Sequence[Run], recovered: Sequence[Run]) -> tuple[Run | None, Run | None]:
    """The sweeps to show beside each other: the newest two that asked for the same, of either model.

    Args:
        dense: sweeps of the dense model as it is now, newest first; those with a repair are passed over.
        recovered: of the recovered one.

    Returns:
        Both; or the newest dense one, whose cells a sweep of the recovered model is to measure, and `None`.
    """
    usable = [
        run
        for run in dense
        if not run.request.get("dry_run") and not run.request.get("repair")
        if run.active or (run.result or {}).get("dense")
    ]
    for before in usable:
        for after in recovered:
            if {**before.request, "workload": None} == {**after.request, "workload": None}:
                return before, after
    return (usable[0] if usable else None), None


def draw(found: Description, run: Run, number: int) -> None:
    """Both maps, or a button that has the missing ones measured."""
    runs = workbench.runs()
    ref = str(recovered_path(runs, run, number))
    dense = [one for one in runs.list("sweep", run.workload) if workbench.is_current(one, found) or one.active]
    before, after = pair(dense, runs.list("sweep", ref))
    if after is None:
        _ask(run, number, before)
        return
    assert before is not None
    at_work = before.active or after.active
    st.markdown(f"**Sensitivity before and after: dense, and round {number}**")
    st.fragment(_maps, run_every=workbench.ACTIVE_SECONDS if at_work else None)(found, before.id, after.id, at_work)
    st.caption(f"In the workspace: `{ref}`. It is on the list of models above, with a Map screen of its own.")


def _ask(run: Run, number: int, before: Run | None) -> None:
    what = "the cells of the dense model's newest map"
    if before is None:
        what = "a first map of it, and of the dense model, which has none"
    pressed = st.button(
        "Sweep the recovered model", icon=":material/grid_on:", key=f"sweep-recovered-{run.id}-{number}"
    )
    st.caption(f"Writes the model of round {number} into the workspace, measures {what}, and shows both.")
    if not pressed:
        return
    try:
        path = write_recovered(workbench.runs(), run, number)
        asked = SweepRequest(run.workload) if before is None else SweepRequest.from_json(dict(before.request))
        if before is None:
            start_sweep(workbench.runs(), asked)
        start_sweep(workbench.runs(), replace(asked, workload=str(path)))
    except SecateurError as error:
        help.refusal(str(error))
    else:
        redraw()


def _maps(found: Description, before_id: str, after_id: str, was_at_work: bool) -> None:
    try:
        before, after = (workbench.runs().get(run_id) for run_id in (before_id, after_id))
        reports = [workbench.report_of(run) for run in (before, after)]
    except SecateurError as error:
        help.refusal(str(error))
        return
    if (before.active or after.active) != was_at_work:
        redraw()
    tolerance = workbench.tolerance_of(before.workload, found)
    for place, name, run in zip(st.columns(2), NAMES, (before, after), strict=True):
        with place:  # a row of its own, so that both maps begin at the same height
            _state(name, run)
    by = _choose_criterion(before_id, criteria_of(reports))
    for place, name, report, grids in zip(st.columns(2), NAMES, reports, shared_grids(reports, by), strict=True):
        with place:
            _one(name, report, grids, tolerance)
    st.caption(f"Warm colours on both: a drop above the tolerance of {numbers.limit_text(found.scale, tolerance)}.")
    st.caption(" ".join((NOTE, *([MAGNITUDE_NOTE] if by == "magnitude" else []))))


def criteria_of(reports: Sequence[SensitivityReport | None]) -> list[str]:
    """By which criteria the maps were swept, in the order of the first that has cells."""
    cells = next((report.cells for report in reports if report is not None and report.cells), ())
    return list(dict.fromkeys(cell.cut.criterion for cell in cells if cell.cut.criterion is not None))


def _choose_criterion(run_id: str, there: Sequence[str]) -> str | None:
    """By which one the maps are drawn: a row and a column have one cell of each."""
    if len(there) < 2:
        return next(iter(there), None)
    return st.segmented_control(
        "Criterion", there, default=there[0], required=True, key=f"recovered-criterion-{run_id}"
    )  # fmt: skip


def shared_grids(
    reports: Sequence[SensitivityReport | None], criterion: str | None
) -> list[list[tuple[str, Grid, str]]]:
    """Of each map its grids that have rows, of the cells that every map has: rows and columns are the same then.

    Args:
        reports: of the maps.
        criterion: of the cells that go by one; of several only one has room in a square.
    """
    cuts = [
        {cell.cut for cell in report.cells if cell.cut.criterion in (None, criterion)}
        for report in reports
        if report is not None and report.cells
    ]
    common = set.intersection(*cuts) if cuts else set()
    found = []
    for report in reports:
        cells = tuple(cell for cell in report.cells if cell.cut in common) if report is not None else ()
        grids = [(key, _narrow(make(cells)), title) for key, make, title in KINDS]
        found.append([one for one in grids if one[1].rows])
    return found


def _narrow(grid: Grid) -> Grid:
    return replace(grid, columns=tuple(label.removesuffix(" %") for label in grid.columns))


def _state(name: str, run: Run) -> None:
    """How far a sweep is, or why it ended early; nothing of one that is finished."""
    if run.active:
        st.progress(run.share, text=f"{name}: {'stopping' if run.stopping else run.phase or 'waiting'}{time_text(run)}")
    else:
        run_state.draw(run)


def _one(name: str, report: SensitivityReport | None, grids: Sequence[tuple[str, Grid, str]], tolerance: float) -> None:
    """One model's maps, with its metric above."""
    if report is None or report.dense is None:
        return
    measured.metric(st.container(), f"{name}: {report.scale.name}, nothing cut further", report.scale, report.dense)
    for key, grid, title in grids:
        label = f"Drop of the {name.lower()} model, {title}"
        text = map_text(grid, report, title)
        colours = workbench.colours()
        map_view(
            f"{name.lower()}-{key}", map_data(text, grid, tolerance, colours, label, can_cut=False, can_tolerate=False)
        )
