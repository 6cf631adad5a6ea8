"""The Map screen in the address: cell, tolerance, filter, what is shown, the run beside it."""

import streamlit as st

from core.jobs.run import Run
from core.plans.plan import Cut
from core.sensitivity.report import SensitivityReport
from dashboard.frame import workbench
from dashboard.frame.sharing import address
from dashboard.frame.sharing.address import BESIDE, CELL, FILTER, KINDS, TOLERANCE, problem_text
from dashboard.maps.component import how_shown, show_how

SCREEN = "map"


def take(run: Run, report: SensitivityReport, there: list[str], least: float) -> list[str]:
    """Take over what the address says, before the widgets are drawn.

    Args:
        run: that is shown.
        report: its map.
        there: granularities that it has.
        least: tolerance that its field takes, as it is typed.

    Returns:
        A line for everything that cannot be.
    """
    asked = address.news(SCREEN)
    if asked is None:
        return []
    problems, state = [], st.session_state
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
    state = st.session_state
    cut: Cut | None = state.get("chosen_cut")
    is_here = cut is not None and any(cell.cut == cut for cell in report.cells)
    tolerance, kinds = state.get(f"tolerance-{report.workload}"), state.get(kinds_key(there)) or there
    address.write(
        SCREEN,
        {
            CELL: address.cell_text(cut) if cut is not None and is_here else None,
            TOLERANCE: f"{tolerance:g}" if tolerance is not None and tolerance != usual else None,
            FILTER: state.get("filter"),
            KINDS: ",".join(kinds) if list(kinds) != there else None,
            BESIDE: state.get(beside_key(run)),
            **{name: how_shown(key) for key, name in address.ROWS.items()},
        },
    )


def kinds_key(there: list[str]) -> str:
    """Key of what is shown."""
    return f"shown-{'-'.join(there)}"


def beside_key(run: Run) -> str:
    """Key of the list of runs to set beside this one."""
    return f"compare-{run.id}"
