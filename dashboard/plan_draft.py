"""The plan that is being made: on disk in the workspace, never only in a browser."""

import streamlit as st

from core.plans.patterns import looked_up_as
from core.plans.plan import Cut, SparsityPlan
from core.workload.description import Description
from dashboard import workbench
from dashboard.tuner.rows import Hold

Holds = dict[str, Hold]


def current(ref: str) -> SparsityPlan:
    """The plan as it is at this moment, whichever browser or command made it."""
    return workbench.runs().draft(ref)


def save(ref: str, plan: SparsityPlan) -> None:
    """Put a plan in its place; what is there already is not written again."""
    if plan != current(ref):
        workbench.runs().save_draft(ref, plan)


def locks_of(ref: str) -> Holds:
    """Locks and bounds by key of a row."""
    found: Holds = st.session_state.get(f"locks-{ref}", {})
    return found


def save_locks(ref: str, locks: Holds) -> None:
    """Keep locks and bounds; those that demand nothing are left out."""
    st.session_state[f"locks-{ref}"] = {key: hold for key, hold in locks.items() if hold != Hold()}


def unknown_cuts(plan: SparsityPlan, found: Description) -> list[Cut]:
    """Lines of targets that the model has not."""
    known = {(t.granularity, t.name) for t in found.targets}
    return [cut for cut in plan.cuts if (looked_up_as(cut.granularity), cut.target) not in known]


def align_of(ref: str, plan: SparsityPlan) -> int:
    """The alignment of groups that the plan does not name yet: as chosen, else that of those it names."""
    chosen: int | None = st.session_state.get(f"align-{ref}")
    return chosen or max((cut.align for cut in plan.cuts), default=1)
