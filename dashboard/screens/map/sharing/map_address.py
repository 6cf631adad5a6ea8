"""The Map screen in the address: cell, tolerance, filter, what is shown, the run beside it."""

from collections.abc import Sequence

import streamlit as st

from core.jobs.run import Run
from core.plans.plan import Cut
from core.sensitivity.report import SensitivityReport
from dashboard.frame import workbench
from dashboard.frame.sharing import address
from dashboard.frame.sharing.address import BESIDE, CELL, FILTER, KINDS, TOLERANCE, problem_text
from dashboard.maps.component import how_shown, show_how

SCREEN, RUN, RUN_WRITTEN = "map", "run", "address-written-run"


def take(run: Run, report: SensitivityReport, there: list[str], least: float) -> Sequence[str]:
    """Take over what the address says, before the widgets are drawn.

    Args:
        run: that is shown.
        report: its map.
        there: granularities that it has.
        least: tolerance that its field takes, as it is typed.

    Returns:
        A line for everything that cannot be.
    """
    problems = _taken(run, report, there, least)
    return address.told(SCREEN, problems, _shown(run, report, there))


def _taken(run: Run, report: SensitivityReport, there: list[str], least: float) -> list[str]:
    problems: list[str] = []
    asked, state = address.news(SCREEN) or {}, st.session_state
    if (text := asked.get(CELL)) is not None:
        cell = address.cell_named(text, report.cells)
        if cell is not None:
            state["chosen_cut"] = cell.cut
        else:
            problems.append(problem_text("cell", text, "which this map does not have; none is chosen"))
    if (text := asked.get(TOLERANCE)) is not None:
        value = address.tolerance_named(text, least)
        if value is not None:
            state[f"tolerance-{report.workload}"] = value
        else:
            problems.append(problem_text("tolerance", text, f"expected a number of at least {least:.3g}"))
    if (text := asked.get(FILTER)) is not None:
        if address.is_pattern(text):
            state["filter"] = text
        else:
            problems.append(problem_text("filter", text, "which is no regular expression; all layers are shown"))
    if (text := asked.get(KINDS)) is not None:
        wanted = [kind for kind in text.split(",") if kind in there]
        if wanted:
            state[kinds_key(there)] = wanted
        else:
            problems.append(problem_text("kinds", text, "of which this map has none; all are shown"))
    if (text := asked.get(BESIDE)) is not None:
        if any(one.id == text for one in workbench.runs().list("sweep")) and text != run.id:
            state[beside_key(run)] = text
        else:
            problems.append(problem_text("run beside", text, "which is not in this workspace; none is shown"))
    for key, name in address.ROWS.items():
        if (text := asked.get(name)) is not None:
            show_how(key, text)
    return problems


def keep(run: Run, report: SensitivityReport, there: list[str], usual: float) -> None:
    """Write what is shown, after the widgets were drawn; what is as it always is stands in no address."""
    shown = _shown(run, report, there) | {name: how_shown(key) for key, name in address.ROWS.items()}
    is_usual = shown[TOLERANCE] == f"{usual:g}"
    address.write(SCREEN, {name: text for name, text in shown.items() if name != TOLERANCE or not is_usual})


def _shown(run: Run, report: SensitivityReport, there: list[str]) -> dict[str, str | None]:
    """What is shown, as an address says it."""
    state = st.session_state
    cut: Cut | None = state.get("chosen_cut")
    is_here = cut is not None and any(cell.cut == cut for cell in report.cells)
    tolerance, kinds = state.get(f"tolerance-{report.workload}"), state.get(kinds_key(there)) or there
    return {
        CELL: address.cell_text(cut) if cut is not None and is_here else None,
        TOLERANCE: f"{tolerance:g}" if tolerance is not None else None,
        FILTER: state.get("filter") or None,
        KINDS: ",".join(kinds) if list(kinds) != there else None,
        BESIDE: state.get(beside_key(run)),
    }


def run_named(found: Sequence[Run]) -> str | None:
    """Id of a run that the address asks for and that is none of these; `None` if it is, or was written here.

    With another model in the list, the address still names the run of the model before.
    """
    asked = st.query_params.get(RUN)
    is_known = asked is None or asked == st.session_state.get(RUN_WRITTEN) or any(run.id == asked for run in found)
    return None if is_known else asked


def tell_run(asked: str | None, shown: str | None) -> None:
    """That the address asks for a run that is not here, for as long as `shown` (an id, or nothing) is in its place."""
    lines = []
    if asked is not None:
        whose = next((run.workload for run in workbench.runs().list() if run.id == asked), None)
        where = "is not in this workspace" if whose is None else f"is of the model {workbench.short_name(whose)}"
        lines = [problem_text("run", asked, f"which {where}; {'none' if shown is None else 'another'} is shown")]
    for line in address.told(RUN, lines, (workbench.chosen_model(), shown)):
        st.warning(line)


def tell_cell() -> None:
    """That the address asks for a cell of a model of which nothing was measured."""
    text = st.query_params.get(CELL)
    if text is not None:
        st.warning(problem_text("cell", text, "and no map of this model was measured here yet"))


def keep_run(shown: str) -> None:
    """Write which run is shown."""
    st.query_params[RUN] = st.session_state[RUN_WRITTEN] = shown


def kinds_key(there: list[str]) -> str:
    """Key of what is shown."""
    return f"shown-{'-'.join(there)}"


def beside_key(run: Run) -> str:
    """Key of the list of runs to set beside this one."""
    return f"compare-{run.id}"
