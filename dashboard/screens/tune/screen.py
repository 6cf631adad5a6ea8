"""Tune: a slider for every layer, the heads to remove, the totals, and what the whole plan really costs."""

from dataclasses import replace

import streamlit as st

from core import numbers
from core.errors import SecateurError
from core.jobs.known.plan_book import PlanBook
from core.jobs.launch import start_sweep
from core.plans import cut_words
from core.plans.costs.totals import plan_totals
from core.plans.foreign import foreign_cuts
from core.plans.plan import SparsityPlan
from core.plans.repairs import REPAIRS, repair_words
from core.sensitivity.request import SweepRequest
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.frame.fragment import fragment, redraw
from dashboard.screens.tune import (
    anchors_panel,
    frontier_panel,
    measured_plans,
    plan_actions,
    plan_draft,
    plan_tools,
    row_panel,
    search_panel,
    tuner_panel,
    undo_panel,
)
from dashboard.screens.tune.measure import measure_form
from dashboard.screens.tune.predicted import Knowledge, Within, knowledge, limits
from dashboard.start import next_step


def without_foreign_cuts(ref: str, found: Description) -> SparsityPlan:
    """The plan on disk; lines that the model has no more are taken out, and said."""
    plan = plan_draft.current(ref)
    foreign = foreign_cuts(plan, found)
    if foreign:
        plan = replace(plan, cuts=tuple(cut for cut in plan.cuts if cut not in foreign), workload=ref)
        plan_draft.save(ref, plan)
        names = ", ".join(cut_words.cut_text(cut) for cut in foreign[:3])
        st.warning(f"The model has changed: the plan's cuts of {names} were left out.")
    return plan


def where_from(ref: str, found: Description, known: Knowledge, within: Within) -> None:
    """What the curves and the prediction rest on."""
    counts = [cell.drop.n for cell in known.cells.values() if cell.drop]
    if not counts:
        return
    n = f"n = {max(counts):,}" if min(counts) == max(counts) else f"n from {min(counts):,} to {max(counts):,}"
    plans = known.predictor.n_plans if known.predictor else 0
    corrected = f", corrected by {plans:,} measured plan{'s' * (plans > 1)}" if plans else ""
    tolerance = numbers.limit_text(found.scale, workbench.tolerance_of(ref, found))
    repaired = f", {repair_words(known.repair)}" if known.repair else ""
    text = (
        f"Curves: each cut alone{repaired}, as sweeps of this model measured it, {n}. Predictions add them up"
        f"{corrected}, with the interval in which 95 % of measured plans should lie. Green lines: the most within "
        f"{tolerance} alone, the tolerance of the Map screen."
    )
    if not within:
        text += " No layer is known to stay within it: measure more examples, or accept a larger drop."
    elif len(within) < len(found.weight_targets) + len(found.channel_targets):
        text += " Where there is none, none is known, or the cuts had no effect."
    st.caption(text)


def repaired_map(ref: str, found: Description, repair: str) -> None:
    """No cell is known with the plan's repair: what that means, and the button that has them measured."""
    ran = [run for run in workbench.sweeps(ref) if not run.request.get("dry_run")]
    at_work = any(run.active and run.request.get("repair") == repair for run in ran)
    raw = [run for run in ran if not run.request.get("repair") and workbench.is_current(run, found)]
    st.info(
        f"No map {repair_words(repair)} yet, and raw cuts say nothing of repaired ones: nothing is predicted until "
        "such cells are measured. Measure this plan itself, or its cells:",
        icon=":material/info:",
    )
    what = "the cells of the newest raw map" if raw else "a first map"
    if not found.n_calibration:
        st.caption("A repair needs calibration data, of which this model has none: the sweep cannot start.")
    if st.button(
        "Being measured …" if at_work else f"Sweep with the repair {repair}",
        icon=":material/grid_on:", disabled=at_work or not found.n_calibration, key=f"sweep-repaired-{ref}",
        help=f"Measures {what} again, every cut {repair_words(repair)}. Other cells: on the Map screen.",
    ):  # fmt: skip
        request = SweepRequest.from_json(dict(raw[0].request)) if raw else SweepRequest(ref)
        try:
            start_sweep(workbench.runs(), replace(request, repair=repair))
        except SecateurError as error:
            help.refusal(str(error))
        else:
            redraw()


def warnings(found: Description, plan: SparsityPlan) -> None:
    """Cuts that cannot be made."""
    for reason in plan_totals(plan, found).impossible:
        help.refusal(f"Cannot be cut: {reason}")


def draw(ref: str, found: Description) -> None:
    """The screen of a model that can be cut, from the tools above the tuner to the plans that were measured."""
    tuner_panel.take(ref, found)
    plan = without_foreign_cuts(ref, found)
    known, book = knowledge(ref, found, plan.repair), PlanBook(workbench.runs().workspace)
    kept, measured = book.all(ref), book.measured(ref, found.fingerprint)
    within = limits(known, found, workbench.tolerance_of(ref, found), plan, plan_draft.align_of(ref, plan))
    if plan.repair:
        st.caption(f":material/healing: The plan is {repair_words(plan.repair)}: {REPAIRS[plan.repair]}.")
    if not known.cells and plan.repair:
        repaired_map(ref, found, plan.repair)
    elif not known.cells:
        st.info(
            "No map yet: the plan can be made all the same, but blind. "
            "A sweep on the Map screen shows what each cut costs.",
            icon=":material/info:",
        )
    plan_actions.offer_linked(ref, found, plan, kept)
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        plan_tools.draw(ref, found, plan, within)
    with right:
        measure_form.draw(ref, found, plan, known, kept)
    rows = tuner_panel.draw(ref, found, plan, known, within, measured)
    warnings(found, plan)
    row_panel.draw(ref, found, plan, known, rows)
    where_from(ref, found, known, within)
    anchors_panel.draw(ref, plan, known)
    measured_plans.chart(ref, found, plan, known, measured)
    measured_plans.draw(ref, found, plan, known, kept, measured)


ref = workbench.chosen_model()
described = workbench.described(ref)
if described.targets:
    next_step.at_tune(ref, described)
    fragment(draw)(ref, described)  # a release draws this again, and not the strip above
    undo_panel.draw(ref, described)
    search_panel.draw(ref, described)
    frontier_panel.draw(ref, described)
else:
    st.warning("Nothing in this model can be cut; the Model screen lists the reasons.")
