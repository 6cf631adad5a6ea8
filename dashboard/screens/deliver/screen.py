"""Deliver: models side by side; the chosen one written, reloaded, compared, verified again and downloaded."""

from collections.abc import Mapping

import streamlit as st

from core.plans.plan import Form
from core.plans.repairs import REPAIRS
from core.workload.description import Description
from dashboard.frame import workbench
from dashboard.frame.markup import without_markup
from dashboard.frame.sharing import address, report_button
from dashboard.screens.deliver import (
    bundles_panel,
    certificate_panel,
    export_panel,
    pays_panel,
    quantize_panel,
    speed_panel,
    variants_panel,
)
from dashboard.screens.deliver.deliverables import Deliverable, deliverables, runs_of
from dashboard.start import next_step

SCREEN = "deliver"


def take_address(ref: str, offered: Mapping[str, Deliverable]) -> None:
    """What the address names is chosen; what is not on the list is told of, and the first stays."""
    asked = (address.news(SCREEN, address.OF_PLANS) or {}).get(address.PLAN)
    if asked is None:
        return
    words = next((words for words, one in offered.items() if one.id == asked), None)
    if words is not None:
        st.session_state[f"plan-{ref}"] = words
    else:
        st.warning(address.problem_text("plan", asked, "which is not on the list below; another is chosen"))


def draw(ref: str, found: Description) -> None:
    next_step.at_deliver(ref, found)
    offered = {one.words: one for one in deliverables(ref, found)}
    take_address(ref, offered)
    if offered:
        chosen = offered[st.selectbox("What to export", list(offered), key=f"plan-{ref}")]
        with st.container(key="whole-choice"):  # seen only where the list is too narrow for it, see `theme.COMPACT`
            st.caption(without_markup(chosen.words))
    else:
        chosen = None
        st.info(
            "There is no plan yet. Make one on the Tune screen, or click a cell of the map and “Cut here”.",
            icon=":material/tune:",
        )
    usual = next(iter(offered.values()), None)  # which stands in no address
    address.write(SCREEN, {address.PLAN: chosen.id if chosen and chosen != usual else None}, address.OF_PLANS)
    if chosen is not None and chosen.plan.repair:
        st.caption(f":material/healing: {chosen.plan.repair}: {REPAIRS[chosen.plan.repair]}. Exports apply it.")
    plan = chosen.plan if chosen is not None and chosen.plan.cuts else None
    variants_panel.draw(ref, found, plan)
    if chosen is not None and (plan is not None or chosen.recovery is not None):
        certificate_panel.draw(ref, found, chosen)
    exports = runs_of("export", ref)
    form: Form = "masked"
    if chosen is not None:
        st.subheader("Export")
        form = export_panel.choose_form(found, chosen)
        export_panel.draw(ref, chosen, form)
    export_panel.draw_state(exports[0] if exports else None)
    bundles_panel.draw(ref, found, exports)
    quantize_panel.draw(ref, found, chosen, form)
    if plan is not None:
        speed_panel.draw(ref, found, plan)
    pays_panel.draw(ref, found, chosen)
    report_button.draw_newest(ref, plan, "deliver-report")


ref = workbench.chosen_model()
draw(ref, workbench.described(ref))
