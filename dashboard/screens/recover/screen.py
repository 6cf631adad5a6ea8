"""Recover: prune in rounds with training between them, and see what every round costs."""

import streamlit as st

from core.recovery.request import RecoverRequest, no_training_text
from core.workload.description import Description
from dashboard.frame import workbench
from dashboard.frame.fragment import fragment
from dashboard.frame.markup import without_markup
from dashboard.frame.sharing import run_menu
from dashboard.screens.recover import recover_form, recover_panel, rounds_panel


def draw(ref: str, found: Description) -> None:
    """The form while nothing is under way, then the run."""
    runs = workbench.runs().list("recover", ref)
    active = [run for run in runs if run.active]
    request = None
    if not active:
        if not found.n_training:
            st.warning(no_training_text(workbench.short_name(found.ref)), icon=":material/block:")
        elif not found.weight_targets:
            st.warning("Nothing in this model can be cut; the Model screen lists the reasons.")
        else:
            last = RecoverRequest.from_json(dict(runs[0].request)) if runs else None
            request = recover_form.draw(ref, found, last)
    shown = active or list(runs)
    if not shown:
        return
    if not active:
        st.divider()
    run = shown[0]
    if len(runs) > 1 and not active:
        named = {one.id: one for one in runs}
        chosen = st.selectbox(
            "Recovery", list(named), format_func=lambda one: recover_panel.label(named[one]),
            key=f"recovery-{ref}-{runs[0].id}",
        )  # fmt: skip
        run = named[chosen]
    else:
        st.caption(without_markup(recover_panel.label(run)))
    run_menu.draw(run)
    recover_panel.draw(found, run)
    if not run.active and (run.result or {}).get("history"):
        rounds_panel.draw(found, run, request)


ref = workbench.chosen_model()
at_work = any(run.active for run in workbench.runs().list("recover", ref))
fragment(draw, at_work)(ref, workbench.described(ref))
