"""What can be done with one kept plan: load, measure, name, note, download, forget."""

from collections.abc import Callable, Sequence

import streamlit as st

from core.errors import SecateurError
from core.jobs.known import plan_words
from core.jobs.known.kept_plan import KeptPlan, MeasuredPlan
from core.jobs.known.plan_book import PlanBook
from core.jobs.launch import start_measure
from core.plans.plan import STRUCTURED, Form, SparsityPlan
from core.plans.repairs import REPAIRS, repair_words
from core.typed import LONGEST_NAME
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.frame.fragment import redraw
from dashboard.frame.markup import without_markup
from dashboard.frame.sharing import address
from dashboard.screens.tune import plan_draft, tuner_panel
from dashboard.screens.tune.predicted import Knowledge, knowledge

PROBLEM, SCREEN = "plan-problem", "tune"


def load(ref: str, found: Description, one: KeptPlan) -> None:
    """Put a kept plan in the place of the one that is being made, which undo brings back; its maker goes with it."""
    tuner_panel.take(ref, found)
    plan_draft.save(ref, one.plan, one.made_by or "hand")
    plan_draft.follow(ref, one.fingerprint)


def offer_linked(ref: str, found: Description, plan: SparsityPlan, kept: Sequence[KeptPlan]) -> None:
    """Follow the address: a kept plan that it names is offered; the one that is being made is not replaced unasked.

    Args:
        ref, found: the model.
        plan: on screen; its id stands in the address where it is kept.
        kept: every plan of the model.
    """
    asked = (address.news(SCREEN, address.OF_PLANS) or {}).get(address.PLAN)
    by_id, offer = {one.id: one for one in kept}, f"linked-{ref}"
    if asked is not None and asked not in by_id:
        st.warning(address.problem_text("plan", asked, "which is not kept here; the plan below stays"))
    elif asked is not None:
        st.session_state[offer] = (asked, plan.fingerprint())
    linked, beside = st.session_state.get(offer, (None, ""))
    if linked in by_id and beside == plan.fingerprint() != by_id[linked].fingerprint:  # until the plan is changed
        one = by_id[linked]
        row = st.container(horizontal=True, vertical_alignment="center")
        row.info(f"The address asks for plan {without_markup(one.name or one.id)}; below is another.")
        row.button("Load that plan", key=f"load-linked-{one.id}", on_click=load, args=(ref, found, one), help=LOAD_HELP)
    own = next((one.id for one in kept if one.plan == plan), None)
    address.write(SCREEN, {address.PLAN: own}, address.OF_PLANS)


def rename(ref: str, one: KeptPlan, key: str) -> None:
    """Give a plan the name in a field."""
    _try(lambda: _book().rename(ref, one.fingerprint, st.session_state[key]))


def write_note(ref: str, one: KeptPlan, key: str) -> None:
    """Write the note in a field beside a plan."""
    _try(lambda: _book().write_note(ref, one.fingerprint, st.session_state[key]))


def forget(ref: str, one: KeptPlan) -> None:
    """Take a plan out of the book."""
    _try(lambda: _book().forget(ref, one.fingerprint))


def measure(ref: str, found: Description, one: KeptPlan, form: Form, known: Knowledge) -> None:
    """Have a worker measure a kept plan; what is predicted of it now is kept beside, unless it was measured before."""
    predictor = known.predictor
    if predictor is None or not predictor.fits(
        one.plan
    ):  # what is known of the plan on screen says nothing of this one
        predictor = knowledge(ref, found, one.plan.repair).predictor
    start_measure(
        workbench.runs(), ref, one.plan, form=form, made_by=one.made_by or "hand",
        prediction=predictor.predict(one.plan) if predictor and predictor.fits(one.plan) else None,
        n_plans=predictor.n_plans if predictor else 0,
    )  # fmt: skip


def draw(
    ref: str, found: Description, one: KeptPlan, results: Sequence[MeasuredPlan], known: Knowledge, busy: Sequence[Form]
) -> None:
    """The plan that is ticked.

    Args:
        ref, found: the model.
        one: the plan.
        results: what was measured of it.
        known: what predicts it.
        busy: forms in which it is being measured.
    """
    problem = st.session_state.pop(PROBLEM, None)
    if problem:
        help.refusal(problem)
    done = {result.result.form for result in results}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("Load this plan", icon=":material/undo:", on_click=load, args=(ref, found, one), help=LOAD_HELP)
        for form, label in _measurable(one, done):
            said = "Being measured …" if form in busy else label
            if st.button(said, icon=":material/straighten:", disabled=form in busy, key=f"measure-{form}-{one.id}"):
                measure(ref, found, one, form, known)
                redraw()
        st.download_button(
            "Download", one.plan.to_json(), f"plan-{one.id}.json", "application/json", on_click="ignore",
            icon=":material/download:", key=f"download-{one.id}",
        )  # fmt: skip
        if not results and not busy:
            with st.popover("Forget", icon=":material/delete:"):
                st.write(f"Plan {one.id} was not measured. Forgotten, it cannot be had again.")
                st.button("Forget it", key=f"forget-{one.id}", on_click=forget, args=(ref, one), type="primary")
    left, right = st.columns([1, 2])
    # of another key once it has changed: what the field shows is what the book holds, whoever wrote it
    name_key, note_key = f"plan-name-{one.id}-{one.name}", f"plan-note-{one.id}-{hash(one.note)}"
    left.text_input(
        "Name", one.name or "", key=name_key, max_chars=LONGEST_NAME, placeholder=one.id, on_change=rename,
        args=(ref, one, name_key),
    )  # fmt: skip
    right.text_area("Note", one.note or "", key=note_key, height=80, on_change=write_note, args=(ref, one, note_key))
    if one.plan.repair:
        st.caption(f"{repair_words(one.plan.repair).capitalize()}: {REPAIRS[one.plan.repair]}.")
    if one.goal:
        st.caption(without_markup(f"Made for: {one.goal}"))
    if one.prediction and one.prediction.value.guesses:
        st.caption(f"? The prediction is a guess: {'; '.join(one.prediction.value.guesses)}.")
    for result in results:
        st.caption(without_markup(f"{result.result.form.capitalize()}: {plan_words.outcome_text(result)}."))


LOAD_HELP = "Into the tuner above, in the place of the plan there; undo brings that back."


def _measurable(one: KeptPlan, done: set[Form]) -> list[tuple[Form, str]]:
    """Forms in which a plan can be measured and was not: a smaller model needs something that can be taken out."""
    able: list[tuple[Form, str]] = [("masked", "Measure")]
    if any(cut.granularity in STRUCTURED for cut in one.plan.cuts):
        able.append(("shrunk", "Measure shrunk"))
    return [(form, label) for form, label in able if form not in done]


def _book() -> PlanBook:
    return PlanBook(workbench.runs().workspace)


def _try(act: Callable[[], object]) -> None:
    try:
        act()
    except SecateurError as error:
        st.session_state[PROBLEM] = str(error)
