"""The plan that is being made, with its locks and bounds: on disk in the workspace, never only in a browser."""

from collections.abc import Iterable, Mapping

import streamlit as st

from core.jobs.drafts import Drafts
from core.jobs.known.kept_plan import KeptPlan, MadeBy
from core.plans.plan import SparsityPlan
from dashboard.frame import workbench
from dashboard.tuner.rows import Hold

HOLDS = "holds"  # key among the rules of a draft


def drafts() -> Drafts:
    """The drafts of the workspace."""
    return Drafts(workbench.runs().workspace)


def current(ref: str) -> SparsityPlan:
    """The plan as it is at this moment, whichever browser or command made it."""
    return drafts().present(ref)


def save(ref: str, plan: SparsityPlan, made_by: MadeBy = "hand") -> None:
    """Put a plan in its place, a step that can be undone; what is there already is not written again."""
    if plan != current(ref):
        drafts().save(ref, plan)
        st.session_state[f"maker-{ref}"] = (plan.fingerprint(), made_by)


def maker_of(ref: str, plan: SparsityPlan) -> MadeBy:
    """Who made a plan, as far as this session knows; a hand, if nothing else did."""
    fingerprint, made_by = st.session_state.get(f"maker-{ref}", ("", "hand"))
    found: MadeBy = made_by if fingerprint == plan.fingerprint() else "hand"
    return found


def follow(ref: str, parent: str | None) -> None:
    """Note the fingerprint of the kept plan that the next one is made from; `None`: from none."""
    st.session_state[f"parent-{ref}"] = parent


def parent_of(ref: str, plan: SparsityPlan, kept: Iterable[KeptPlan]) -> str | None:
    """Id of the kept plan that a plan was made from in this session; `None` if from none, or from itself."""
    parent = st.session_state.get(f"parent-{ref}")
    return next((one.id for one in kept if one.fingerprint == parent != plan.fingerprint()), None)


def locks_of(ref: str) -> dict[str, Hold]:
    """Locks and bounds by key of a row."""
    return {key: Hold(*values) for key, values in drafts().rules(ref).get(HOLDS, {}).items()}


def save_locks(ref: str, locks: Mapping[str, Hold]) -> None:
    """Keep locks and bounds; those that demand nothing are left out. Other rules of the draft stay."""
    kept = {key: [hold.locked, hold.least, hold.most] for key, hold in locks.items() if hold != Hold()}
    rules = drafts().rules(ref)
    if rules.get(HOLDS, {}) != kept:
        drafts().save_rules(ref, {**rules, HOLDS: kept})


def align_of(ref: str, plan: SparsityPlan) -> int:
    """The alignment of groups that the plan does not name yet: as chosen, else that of those it names."""
    chosen: int | None = st.session_state.get(f"align-{ref}")
    return chosen or max((cut.align for cut in plan.cuts), default=1)
