"""Criteria compared: which of them suits which layer, where the model was swept by several."""

from dataclasses import replace

import streamlit as st

from core import numbers
from core.plans import cut_words
from core.plans.repairs import repair_words
from core.sensitivity import sweep_words
from core.sensitivity.criteria_comparison import compare_criteria, compared_granularities, criteria_of
from core.sensitivity.report import SensitivityReport
from core.workload.description import Description
from dashboard.figures.criteria import criteria_figure
from dashboard.figures.curves import curves_by_target, curves_figure
from dashboard.frame import workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.plotly_live import plotly_live
from dashboard.screens.map import maps_panel


def draw(
    report: SensitivityReport, found: Description, tolerance: float, pattern: str, repair: str | None = None
) -> None:
    """How far each criterion reaches, and the curves of the chosen target; nothing with a single criterion.

    Args:
        report: of the run on the screen, for the dense model.
        found: the model; what all sweeps of it as it is now have measured is compared.
        tolerance: in the metric's unit.
        pattern: of names that are shown.
        repair: of the cells that are compared.
    """
    known = tuple(workbench.known_cells(found.ref, found, repair).values())
    granularities = compared_granularities(known)
    if not granularities:
        return
    st.divider()
    st.subheader("Criteria compared")
    granularity = granularities[0]
    if len(granularities) > 1:
        granularity = st.segmented_control(
            "Compare", granularities, default=granularities[0], required=True, key="compared-granularity",
            format_func=cut_words.granularity_text, label_visibility="collapsed",
        ) or granularities[0]  # fmt: skip
    compared = compare_criteria(maps_panel.matching(known, pattern), tolerance, granularity)
    if not compared:
        st.info("No layer that the filter shows was cut by several criteria.")
        return
    names = [one.target for one in compared]
    chosen = st.session_state.get("compared_target")
    chosen = chosen if chosen in names else names[0]
    repaired = f" Every cut {repair_words(repair)}." if repair else ""
    table, details = st.columns([3, 2], gap="large")
    with table:
        figure = criteria_figure(compared, criteria_of(known, granularity), workbench.colours(), chosen)
        hit = plotly_live(figure, "criteria-map", "Largest sparsity of every layer within the tolerance, by criterion")
        if not any(curve.decided and curve.largest is not None for one in compared for curve in one.curves):
            n = max((cell.drop.n for cell in known if cell.drop), default=0)
            st.info(_undecided_text(report, tolerance, n), icon=":material/help:")
        st.caption(f"Within {numbers.limit_text(report.scale, tolerance)}. {sweep_words.COMPARISON_NOTE}{repaired}")
    with details:
        cells = tuple(c for c in known if c.cut.target == chosen and c.cut.granularity == granularity)
        by_curve = curves_by_target(cells)
        curves = {own[0].cut.criterion or name: own for name, own in by_curve.items()}
        st.markdown(f"**{chosen}**, one curve per criterion")
        if curves:
            own = replace(report, run=f"criteria-{chosen}", cells=cells)
            plotly_live(
                curves_figure(own, curves, list(curves), workbench.colours()),
                "criteria-curves",
                "Metric against sparsity of the chosen layer, by criterion",
            )
        else:
            st.caption("It has no curve: the pattern has one sparsity, or nothing of it is measured yet.")
    clicked = names[hit["row"]] if hit and hit.get("row") is not None and hit["row"] < len(names) else None
    if clicked is not None and clicked != chosen:
        st.session_state["compared_target"] = clicked
        redraw()


def _undecided_text(report: SensitivityReport, tolerance: float, n: int) -> str:
    """That nothing can be compared yet, and what would help."""
    enough = sweep_words.enough_text(report.scale, tolerance, n)
    return f"No limit is decided, so there is nothing to compare yet. {enough}." if enough else "No limit is decided."
