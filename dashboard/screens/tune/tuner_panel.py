"""The tuner on its screen: what it is told, and what becomes of what it sends."""

from collections.abc import Sequence

import streamlit as st

from core.errors import SecateurError
from core.jobs.known.kept_plan import MeasuredPlan
from core.plans.plan import SparsityPlan
from core.workload.description import Description
from dashboard.frame import help, workbench
from dashboard.screens.tune import plan_draft
from dashboard.screens.tune.predicted import Knowledge, Within, costed, knowledge
from dashboard.tuner.component import tuner
from dashboard.tuner.costs import costs_left
from dashboard.tuner.data import Answered, tuner_data
from dashboard.tuner.edits import Edit, Goal, apply_changes, read_edits
from dashboard.tuner.goals import solved
from dashboard.tuner.memory import memory_values
from dashboard.tuner.rows import TunerRow, tuner_rows
from dashboard.tuner.worth import worth_values


def key_of(ref: str) -> str:
    """Key of the component for a model."""
    return f"tuner-{ref}"


def take(ref: str, found: Description) -> None:
    """Put what the tuner sent into the plan on disk; what was taken already is passed over.

    Called before the page runs for a message and when the page is drawn, for a message may come together with a click
    on something else.
    """
    message = st.session_state.get(key_of(ref), {}).get("edit")
    if not message:
        return
    try:
        drawing, edits = read_edits(message)
        before = answered(ref)
        done = before.number if before.drawing == drawing else 0
        new = [edit for edit in edits if edit.number > done]
        if not new:
            return
        st.session_state[f"answered-{ref}"] = Answered(drawing, new[-1].number)
        _apply(ref, found, new)
    except SecateurError as error:
        st.session_state[f"tuner-problem-{ref}"] = str(error)


def _apply(ref: str, found: Description, edits: Sequence[Edit]) -> None:
    known = knowledge(ref, found, plan_draft.current(ref).repair)
    st.session_state[f"goal-note-{ref}"] = ""
    for edit in edits:  # each by itself: one that is refused must not take the others with it
        plan = plan_draft.current(ref)
        if edit.holds:
            plan_draft.save_locks(ref, {**plan_draft.locks_of(ref), **edit.holds})
        if edit.focus:
            st.session_state[f"focus-{ref}"] = edit.focus
        rows = rows_of(ref, found, plan, known)
        if edit.changes:
            plan_draft.save(ref, apply_changes(plan, rows, edit.changes))
        if edit.goal:
            _solve(ref, found, edit.goal, rows, plan, known)


def _solve(
    ref: str, found: Description, goal: Goal, rows: Sequence[TunerRow], plan: SparsityPlan, known: Knowledge
) -> None:
    if known.predictor is None:
        raise SecateurError("a goal needs a sweep first: what a cut costs is not known yet")
    answer = solved(goal, rows, plan, known.predictor, found, known.saved, known.ends)
    plan_draft.save(ref, answer.plan, "solver")
    st.session_state[f"goal-note-{ref}"] = answer.note
    st.session_state[f"goal-asked-{ref}"] = answer.plan.fingerprint(), goal


def _has(ref: str) -> str:
    """The catalog that the browser says it has."""
    message = st.session_state.get(key_of(ref), {}).get("edit")
    return str(message.get("has", "")) if isinstance(message, dict) else ""


def answered(ref: str) -> Answered:
    """The last edit that this session has taken."""
    found: Answered = st.session_state.get(f"answered-{ref}", Answered())
    return found


def rows_of(
    ref: str, found: Description, plan: SparsityPlan, known: Knowledge, within: Within | None = None
) -> tuple[TunerRow, ...]:
    """The rows of a plan, with locks and alignment as they are in this session."""
    rows = tuner_rows(found, plan, known.predictor, plan_draft.locks_of(ref), within, plan_draft.align_of(ref, plan))
    return costed(rows, found, known)


def draw(
    ref: str,
    found: Description,
    plan: SparsityPlan,
    known: Knowledge,
    within: Within,
    measured: Sequence[MeasuredPlan] = (),
) -> tuple[TunerRow, ...]:
    """The tuner; returns its rows.

    Args:
        ref, found: the model.
        plan: on disk.
        known: what predicts it.
        within: the most that each row can lose within the tolerance.
        measured: every measured plan of the model as it is now.
    """
    problem = st.session_state.pop(f"tuner-problem-{ref}", None)
    if problem:
        help.refusal(problem)
    rows = rows_of(ref, found, plan, known, within)
    made, goal = st.session_state.get(f"goal-asked-{ref}", ("", None))
    asked = goal if made == plan.fingerprint() else None
    note = st.session_state.get(f"goal-note-{ref}", "") if asked else ""  # of another plan it says nothing
    left = costs_left(plan, known.kinds, found, known.saved)
    data = tuner_data(
        found.scale,
        rows,
        plan,
        known.kinds,
        left,
        known.predictor,
        note,
        answered(ref),
        _has(ref),
        known.moving,
        known.spared,
        worth_values(workbench.inside_map(ref, found, plan), plan, rows),
        known.dense,
        measured,
        memory_values(found, rows),
        asked,
    )
    tuner(key_of(ref), data, lambda: take(ref, found))
    return rows
