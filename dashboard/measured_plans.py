"""Plans that were measured: the one on the screen beside the dense model, and a table of all, to load again."""

from datetime import datetime

import pandas as pd
import streamlit as st

from core import wording
from core.jobs.runs import Run
from core.plans.plan import SparsityPlan
from core.sensitivity.report import Estimate
from core.workload.description import Description
from core.workload.scale import Scale
from dashboard import measured, plan_draft, workbench


def measured_frame(found: tuple[Run, ...], scale: Scale) -> pd.DataFrame:
    """Every measured plan, newest first. All measured; nothing here is a prediction."""
    rows = []
    for run in found:
        result = run.result or {}
        drop, pruned = result.get("drop"), result.get("pruned")
        rows.append(
            {
                "run": run.id,
                "when": datetime.fromtimestamp(run.created),
                "cuts": len(run.request["plan"]["cuts"]),
                "removed": 100 * result["n_removed"] / max(1, result["n_weights"]) if result else None,
                "pruned": wording.metric_with_interval(scale, Estimate(**pruned))
                if pruned
                else result.get("reason") or run.error or run.state,
                "drop": wording.drop_with_interval(scale, Estimate(**drop)) if drop else "",
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def draw(ref: str, found: Description, plan: SparsityPlan) -> None:
    """The newest measurement, of this plan if there is one, and all of them."""
    scale = found.scale
    ended = tuple(run for run in workbench.runs().list("measure", ref) if not run.active)
    done = tuple(run for run in ended if run.result is None or workbench.is_current(run, found))
    st.subheader("Measured plans")
    if len(done) < len(ended):
        st.caption(f"{len(ended) - len(done)} measured on an earlier version of the model are left out.")
    if not done:
        st.caption(
            "None yet. Measure the plan above to see what it really costs: "
            "cuts that are harmless alone may not be together."
        )
        return
    shown = next((run for run in done if SparsityPlan.from_document(run.request["plan"]) == plan), done[0])
    same = SparsityPlan.from_document(shown.request["plan"]) == plan
    result = shown.result
    if result and result.get("drop"):
        a, b, c = st.columns(3)
        measured.metric(a, "dense", scale, Estimate(**result["dense"]))
        pruned = Estimate(**result["pruned"])
        measured.metric(b, "this plan, measured" if same else "newest measured plan", scale, pruned)
        measured.drop(c, "drop", scale, Estimate(**result["drop"]))
        if not same and plan.cuts:
            st.caption(":material/warning: The plan above differs from it, and is not measured yet.")
    elif shown.error:
        st.error(f"The newest measurement failed: {shown.error}", icon=":material/error:")
    event = st.dataframe(
        measured_frame(done, scale),
        hide_index=True,
        key=f"measured-{ref}",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "when": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "removed": st.column_config.NumberColumn("weights removed", format="%.1f %%"),
            "pruned": "metric, measured",
            "drop": "drop, measured",
        },
    )
    rows = event.selection.rows
    if rows:
        chosen = done[rows[0]]
        st.button(
            "Load this plan",
            icon=":material/undo:",
            on_click=plan_draft.save,
            args=(ref, SparsityPlan.from_document(chosen.request["plan"])),
        )
    else:
        st.caption("Tick a row to load its plan into the tuner above.")
